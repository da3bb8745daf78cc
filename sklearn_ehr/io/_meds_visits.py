"""Hospital stays of MEDS events, found from the codes that start and end them."""

import narwhals.stable.v2 as nw
import pandas as pd

from ..utils import as_narwhals, import_arrow, shown

_OWN = "_sklearn_ehr_"
_START = f"{_OWN}start"
_END = f"{_OWN}end"
_STAY = f"{_OWN}stay"
_LATEST = f"{_OWN}latest"
_N_BOUNDS = f"{_OWN}n_bounds"
_OPENED = f"{_OWN}opened"
_CLOSED = f"{_OWN}closed"
_OPEN = f"{_OWN}open"
_WAS_OPEN = f"{_OWN}was_open"
_VISIT = f"{_OWN}visit"


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
        in_pandas = as_narwhals(events.to_native().to_pandas(types_mapper=pd.ArrowDtype))
        with_stays = add_stays(in_pandas, start, end).to_native()
        table = import_arrow("A table of Arrow").Table.from_pandas(with_stays, preserve_index=False)
        return as_narwhals(table)
    bounds = _bounds_of_stays(events, start, end)
    events = _sorted(events).join(bounds, on=["patient_id", "time"], how="left")
    # Events at the same time have the same bound, so their order does not matter.
    last, closed = nw.col(_STAY).fill_null(0), nw.col(_CLOSED).fill_null(0)
    events = events.with_columns(last.alias(_LATEST), closed.alias(_CLOSED))
    events = _by_patient(events, "cum_max", _LATEST, _CLOSED)
    between = nw.when(nw.col(_LATEST) > nw.col(_CLOSED)).then(nw.col(_LATEST))
    visit = nw.when(nw.col(_STAY).is_null()).then(between).otherwise(nw.col(_VISIT))
    return events.with_columns(visit.alias("visit_id")).drop(_STAY, _CLOSED, _VISIT, _LATEST)


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
    bounds = _sorted(bounds)
    starts, ends = nw.col(_START), nw.col(_END)
    bounds = bounds.with_columns(starts.alias(_STAY), (starts + ends).alias(_N_BOUNDS))
    bounds = _by_patient(bounds, "cum_sum", _STAY, _N_BOUNDS)
    # A start and an end at one time change nothing: a transfer if in a stay, else a day case.
    bounds = bounds.with_columns(
        nw.when(starts > ends).then(nw.col(_N_BOUNDS)).otherwise(0).alias(_OPENED),
        nw.when(starts < ends).then(nw.col(_N_BOUNDS)).otherwise(0).alias(_CLOSED),
    )
    bounds = _by_patient(bounds, "cum_max", _OPENED, _CLOSED)
    is_open = nw.col(_OPENED) > nw.col(_CLOSED)
    bounds = bounds.with_columns(is_open.cast(nw.Int64).alias(_OPEN))
    bounds = bounds.with_columns(nw.col(_OPEN).alias(_WAS_OPEN))
    bounds = _by_patient(bounds, "shift", _WAS_OPEN, n=1)
    is_inside = starts + nw.col(_WAS_OPEN).fill_null(0) > 0
    stay = nw.col(_STAY).cast(nw.Int64)
    return bounds.select(
        "patient_id",
        "time",
        stay,
        nw.when(nw.col(_OPEN) == 0).then(stay).alias(_CLOSED),
        nw.when(is_inside).then(stay).alias(_VISIT),
    )


def _is_code(prefix):
    """Whether a code is this one or one below it, such as ``ADMISSION//EMERGENCY``."""
    code = nw.col("code").cast(nw.String).fill_null("")
    return (code == prefix) | code.str.starts_with(f"{prefix}//")


def _sorted(frame):
    """Sort a frame in memory; an engine orders rows where it needs to."""
    return frame.sort("patient_id", "time") if isinstance(frame, nw.DataFrame) else frame


def _by_patient(frame, method, *names, **options):
    """Replace columns by a cumulative or shifted one within each patient, in order of time."""
    # With an order, narwhals 2.10 mixes up rows of pandas; those in memory are sorted already.
    order = {} if isinstance(frame, nw.DataFrame) else {"order_by": "time"}
    columns = (getattr(nw.col(name), method)(**options) for name in names)
    return frame.with_columns(*(column.over("patient_id", **order) for column in columns))
