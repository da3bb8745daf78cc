"""Columns of events, checked, encoded, and sorted by patient and time."""

from itertools import pairwise

import numpy as np
import pandas as pd

from ..utils import (
    as_integers,
    check_keys,
    column_of,
    deal,
    encode,
    is_ascending,
    key_kind,
    map_in_threads,
    order_by,
    prune,
    refuse_nulls,
    require_frame,
)
from ._times import null_times, read_times

_ROWS_PER_BLOCK = 2**17
_DROP_ROWS = "Drop those rows, or find out why the value is missing."


def read_columns(events, names):
    """Columns of a frame of events by role, those that are absent as None.

    Parameters
    ----------
    events : DataFrame
    names : dict of str to str or None
        Name of the column of each role.

    Raises
    ------
    TypeError
        If `events` is no frame, a name is none, or values are not numeric.
    ValueError
        If a column is missing or has nulls that it may not have, or the frame is empty.
    """
    require_frame(events, "events")
    if not len(events):
        raise ValueError("events is an empty frame: there is no history to learn from.")
    columns = {
        role: column_of(
            events, name, "events", fixed=role, optional=role not in ("patient_id", "code")
        )
        for role, name in names.items()
    }
    time, visit, value = columns["time"], columns["visit_id"], columns["value"]
    if time is None and visit is None:
        raise ValueError(
            f"events needs a column of times or of visit ids to order a history; it has neither "
            f"{names['time']!r} nor {names['visit_id']!r} among its {events.shape[1]} columns. "
            f"Name one with time= or visit_id=."
        )
    for role in ("patient_id", "code"):
        refuse_nulls(columns[role].isna(), columns[role].name, _DROP_ROWS)
    if time is None:
        _check_order_of_visits(visit)
    if value is not None and not _is_real(value.dtype):
        raise TypeError(
            f"Column {value.name!r} must hold real numbers, got dtype {value.dtype}. Convert it "
            f"with pandas.to_numeric, or leave it out with value=None."
        )
    return columns


def _is_real(dtype):
    is_complex = pd.api.types.is_complex_dtype(dtype)
    return pd.api.types.is_numeric_dtype(dtype) and not is_complex


def _check_order_of_visits(visit):
    """Raise where visits without times cannot follow each other by their ids."""
    refuse_nulls(visit.isna(), visit.name, "Without a time column every event needs its visit.")
    check_keys(visit)
    if isinstance(visit.dtype, pd.CategoricalDtype) and visit.cat.ordered:
        return
    if key_kind(visit) == "string" and visit.astype("string").str.fullmatch(r"\s*\d+\s*").all():
        raise ValueError(
            f"Column {visit.name!r} orders the visits, as events have no times, and holds numbers "
            f"written as texts, of which '10' comes before '9'. Convert it to integers, or to an "
            f"ordered category."
        )


def rows_to_keep(times, known, null_time):
    """Apply `null_time`: True for the rows to keep."""
    is_null = times.is_null
    known_null = np.zeros(len(is_null), dtype=bool) if known is None else known.is_null
    if null_time == "drop":
        keep = ~(is_null | known_null)
        if not keep.any():
            raise ValueError(
                f"null_time='drop' leaves no event: every one has a null time (column "
                f"{times.name!r}) or known time. Check how the times were read."
            )
        return keep
    if null_time == "error":
        refuse_nulls(
            is_null,
            times.name,
            "null_time='drop' leaves such events out; null_time='static' takes them as always "
            "known, such as facts of birth.",
        )
    if known is not None:
        refuse_nulls(
            known_null & ~is_null,
            known.name,
            "Fill it with the event's time if facts are known at once, or drop such events with "
            "null_time='drop'.",
        )
    return np.ones(len(is_null), dtype=bool)


def lay_out(columns, null_time):
    """Sort events into arrays that are the same for any order of the rows.

    Parameters
    ----------
    columns : dict of str to Series or None
        As of `read_columns`.
    null_time : {"error", "drop", "static"}

    Returns
    -------
    rows : dict of str to ndarray of shape (n_events,)
        Positions in `tables` of patients, codes and visits; times and values.
    tables : dict of str to ndarray
        Distinct patients, codes and visit ids, ascending.
    times : dict of str to Times
        The columns of times, unsorted, for their zones.
    """
    times = {
        role: read_times(columns[role], columns[role].name)
        for role in ("time", "known_time")
        if columns[role] is not None and columns["time"] is not None
    }
    keep = np.ones(len(columns["code"]), dtype=bool)
    if times:
        keep = rows_to_keep(times["time"], times.get("known_time"), null_time)
    roles = [role for role in ("patient_id", "code", "visit_id") if columns[role] is not None]
    encoded = map_in_threads(_encode, roles, [columns[role] for role in roles])
    rows = {role: position for role, (position, _) in zip(roles, encoded, strict=True)}
    tables = {role: table for role, (_, table) in zip(roles, encoded, strict=True)}
    if columns["value"] is not None:
        rows["value"] = columns["value"].to_numpy(dtype=np.float64, na_value=np.nan)
    rows |= {role: column.values for role, column in times.items()}
    if not keep.all():
        rows = {role: row[keep] for role, row in rows.items()}
        for role in rows.keys() & {"code", "visit_id"}:
            rows[role], tables[role] = prune(rows[role], tables[role])
    return _sort_by_patient(rows, len(tables["patient_id"])), tables, times


def _encode(role, column):
    return encode(column, keep_categories_ordered=role == "visit_id")


def _sort_by_patient(rows, n_patients):
    """Columns in the order of patients, then of time and code; for any order of the rows the same.

    Rows are dealt to blocks of patients first: a block that fits the processor's cache is sorted
    several times faster than its share of the whole table, and blocks are sorted in threads.
    """
    patient = rows["patient_id"]
    block = patient // np.int32(max(1, n_patients * _ROWS_PER_BLOCK // len(patient)))
    if is_ascending(patient):
        starts = np.searchsorted(block, np.arange(block[-1] + 2, dtype=np.int32))
        # Copies, as columns of the user's frame may be among them.
        rows = {role: row.copy() for role, row in rows.items()}
    else:
        rows, starts = deal(block, rows, ids=("patient_id", "code"))
    blocks = (
        {role: row[start:stop] for role, row in rows.items()} for start, stop in pairwise(starts)
    )
    map_in_threads(_sort_in_place, blocks)
    return rows


def _sort_in_place(rows):
    """Sort the columns of a block."""
    if is_ascending(*_sort_keys(rows)):
        return
    if "time" in rows:
        # Times so coarse that they need one pass nearly always give the right order already.
        _reorder(rows, order_by(rows["patient_id"], _coarse_times(rows), rows["code"]))
    if not is_ascending(*_sort_keys(rows)):
        _reorder(rows, order_by(*_sort_keys(rows)))


def _sort_keys(rows):
    if "time" not in rows:
        roles = ("patient_id", "visit_id", "code", "value")
        return [rows[role] for role in roles if role in rows]
    ties = [rows[role] for role in ("code", "visit_id", "value", "known_time") if role in rows]
    return [rows["patient_id"], ~null_times(rows["time"]), rows["time"], *ties]


def _reorder(rows, order):
    for row in rows.values():
        row[:] = row[order]


def _coarse_times(rows):
    """Times as integers that leave `order_by` room for patient and code; static ones are first."""
    time, is_static = as_integers(rows["time"]), null_times(rows["time"])
    if is_static.all():
        return time
    if is_static.any():
        time = np.where(is_static, time[~is_static].min() - 1, time)
    low, high = int(time.min()), int(time.max())
    ids = (rows["patient_id"], rows["code"], np.arange(len(time)))
    n_free = 64 - sum((int(row.max()) - int(row.min())).bit_length() for row in ids)
    n_dropped = max(0, (high - low).bit_length() + 1 - n_free)
    return time >> min(n_dropped, 63)
