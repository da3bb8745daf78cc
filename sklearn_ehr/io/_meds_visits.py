"""Hospital stays of MEDS events, found from the codes that start and end them."""

import narwhals.stable.v2 as nw
import pandas as pd

from ..utils import as_narwhals, shown

_OWN = "_sklearn_ehr_"
_START, _END, _NUMBER = f"{_OWN}start", f"{_OWN}end", f"{_OWN}number"
_OPEN, _WAS_OPEN = f"{_OWN}open", f"{_OWN}was_open"
_STAY, _CLOSED, _VISIT = f"{_OWN}stay", f"{_OWN}closed", f"{_OWN}visit"


def read_visit_codes(visit_codes):
    """Check a pair of codes, and return them without a separator at the end."""
    is_pair = isinstance(visit_codes, list | tuple) and len(visit_codes) == 2
    if not is_pair or not all(isinstance(code, str) for code in visit_codes):
        raise TypeError(
            f"visit_codes={shown(visit_codes)} is not accepted; give the code that starts a stay "
            f"and the one that ends it, such as ('ADMISSION', 'DISCHARGE')."
        )
    start, end = (code.removesuffix("//") for code in visit_codes)
    if not start or not end or f"{start}//".startswith(f"{end}//") or end.startswith(f"{start}//"):
        raise ValueError(
            "visit_codes must be two codes, neither of which is empty or includes the other."
        )
    return start, end


def add_stays(events, start, end):
    """Add the column `visit_id` to a narwhals frame: the number of the stay within the patient.

    The number that an event gets depends on codes at its time and before, and not on the order of
    rows.
    """
    if events.implementation.is_dask():
        raise TypeError(
            "visit_codes is not supported for frames of Dask, which do not order rows within a "
            "patient. Pass the path of their parquet files."
        )
    if events.implementation.is_pyarrow():
        # narwhals cannot accumulate within patients there.
        events = as_narwhals(events.to_native().to_pandas(types_mapper=pd.ArrowDtype))
    events = events.join(
        _bounds_of_stays(events, start, end), on=["patient_id", "time"], how="left"
    )
    # Events at the same time have the same bound, so their order does not matter.
    events = events.with_columns(
        _in_order(nw.col(_STAY).fill_null(0).cum_max()).alias(_NUMBER),
        _in_order(nw.col(_CLOSED).fill_null(0).cum_max()).alias(_END),
    )
    between = nw.when(nw.col(_NUMBER) > nw.col(_END)).then(nw.col(_NUMBER))
    visit = nw.when(nw.col(_STAY).is_null()).then(between).otherwise(nw.col(_VISIT))
    return events.with_columns(visit.alias("visit_id")).drop(_STAY, _CLOSED, _VISIT, _NUMBER, _END)


def _bounds_of_stays(events, start, end):
    """Moments at which stays start or end.

    For each, the number of stays so far, the same if that stay is closed from then on, and the stay
    of events at this very time, null if there is none.
    """
    is_start, is_end = _is_code(start), _is_code(end)
    bounds = (
        events.filter(is_start | is_end, ~nw.col("time").is_null())
        .select(
            "patient_id",
            "time",
            is_start.cast(nw.Int64).alias(_START),
            is_end.cast(nw.Int64).alias(_END),
        )
        .group_by("patient_id", "time")
        .agg(nw.col(_START).max(), nw.col(_END).max())
    )
    bounds = bounds.with_columns(
        _in_order(nw.col(_START).cum_sum()).cast(nw.Int64).alias(_STAY),
        _in_order((nw.col(_START) + nw.col(_END)).cum_sum()).alias(_NUMBER),
    )
    # A start and an end at one time change nothing: a transfer if in a stay, else a day case.
    opened = _last_number(nw.col(_START) > nw.col(_END))
    closed = _last_number(nw.col(_START) < nw.col(_END))
    bounds = bounds.with_columns((opened > closed).cast(nw.Int64).alias(_OPEN))
    bounds = bounds.with_columns(_in_order(nw.col(_OPEN).shift(1)).fill_null(0).alias(_WAS_OPEN))
    return bounds.select(
        "patient_id",
        "time",
        _STAY,
        nw.when(nw.col(_OPEN) == 0).then(nw.col(_STAY)).alias(_CLOSED),
        nw.when(nw.col(_START) + nw.col(_WAS_OPEN) > 0).then(nw.col(_STAY)).alias(_VISIT),
    )


def _is_code(prefix):
    """Whether a code is this one or one below it, such as ``ADMISSION//EMERGENCY``."""
    code = nw.col("code").cast(nw.String).fill_null("")
    return (code == prefix) | code.str.starts_with(f"{prefix}//")


def _last_number(condition):
    """Number of the patient's last bound so far that meets a condition, 0 if none does."""
    return _in_order(nw.when(condition).then(nw.col(_NUMBER)).fill_null(0).cum_max())


def _in_order(expression):
    return expression.over("patient_id", order_by="time")
