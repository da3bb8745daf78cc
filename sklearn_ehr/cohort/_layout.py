"""Layout of events: columns that are checked, encoded, and sorted by patient and time."""

from itertools import pairwise

import numpy as np
import pandas as pd

from ..utils import (
    as_integers,
    check_keys,
    column_names,
    column_of,
    deal,
    encode,
    find_column,
    is_ascending,
    is_lazy,
    is_real,
    key_kind,
    map_in_threads,
    order_by,
    prune,
    read_frame,
    refuse_null_count,
    refuse_nulls,
    require_frame,
)
from ._times import null_times, read_times

_ROWS_PER_BLOCK = 2**16
DROP_ROWS = "Drop those rows, or find out why the value is missing."


def read_columns(events, names):
    """Look up the columns of a frame of events, read them, and check them.

    `names` has the name of the column for each role, such as "time". The result has the Series for
    each role, None for an optional column that is absent.
    """
    found = find_columns(events, names)
    frame = read_frame(events, "events", [name for name in found.values() if name is not None])
    if not len(frame):
        unless = ", or none of its patients is in samples" if is_lazy(events) else ""
        raise ValueError(f"events is empty{unless}: there is no history to learn from.")
    columns = {
        role: None
        if name is None
        else column_of(frame, name, "events", fixed=role, keep_views=role in ("patient_id", "code"))
        for role, name in found.items()
    }
    time, visit, value = columns["time"], columns["visit_id"], columns["value"]
    for role in ("patient_id", "code"):
        refuse_nulls(columns[role].isna(), columns[role].name, DROP_ROWS)
    if time is None:
        _check_order_of_visits(visit)
    if value is not None and not is_real(value.dtype):
        raise TypeError(
            f"Column {value.name!r} must hold real numbers, got dtype {value.dtype}. Convert it "
            f"with pandas.to_numeric or a cast in the engine, or leave it out with value=None."
        )
    return columns


def find_columns(events, names):
    """Name of the column of a frame of events for each role; None for an optional, absent one."""
    require_frame(events, "events")
    available = column_names(events)
    found = {
        role: find_column(
            available, name, "events", fixed=role, optional=role not in ("patient_id", "code")
        )
        for role, name in names.items()
    }
    if found["time"] is None and found["visit_id"] is None:
        raise ValueError(
            f"events needs a column of times or of visit ids, to put histories in order, but has "
            f"neither {names['time']!r} nor {names['visit_id']!r} among its {len(available)} "
            f"columns. Name one with time= or visit_id=."
        )
    return found


def _check_order_of_visits(visit):
    """Raise if the ids of visits without times do not order the visits."""
    refuse_nulls(
        visit.isna(),
        visit.name,
        "There is no column of times (name it with time=), so every event needs a visit id.",
    )
    check_keys(visit)
    if isinstance(visit.dtype, pd.CategoricalDtype) and visit.cat.ordered:
        return
    ids = pd.Series(visit.unique())
    if key_kind(ids) == "bytes":
        ids = ids.astype(object).str.decode("latin-1")
    if key_kind(ids) != "string":
        return
    ids = ids.astype("string").str.strip()
    numbers = pd.to_numeric(ids.str.replace(",", ""), errors="coerce")
    parts = ids.str.extract(r"^(\D*)(\d+)(\D*)$")
    is_numbered = not parts.isna().to_numpy().any() and len(parts[[0, 2]].drop_duplicates()) == 1
    if numbers.notna().all() or (is_numbered and parts[1].str.len().nunique() > 1):
        raise ValueError(
            f"Column {visit.name!r} orders the visits, as there is no column of times (name it "
            f"with time=), and holds numbers written as strings, of which '10' comes before '9'. "
            f"Convert it to integers, or to an ordered category."
        )


def rows_to_keep(times, known, null_time):
    """True for each row that `null_time` keeps; raises for nulls that it does not allow."""
    is_null = times.is_null
    known_null = np.zeros(len(is_null), dtype=bool) if known is None else known.is_null
    if null_time == "drop":
        return ~(is_null | known_null)
    names = times.name, None if known is None else known.name
    n_null = np.count_nonzero(is_null), np.count_nonzero(known_null & ~is_null)
    refuse_null_times(names, n_null, null_time)
    return np.ones(len(is_null), dtype=bool)


def refuse_null_times(names, n_null, null_time):
    """Raise for nulls among times, and among known times of events with a time, if not allowed.

    `names` are those of both columns, and `n_null` the numbers of such nulls.
    """
    if null_time == "error":
        refuse_null_count(
            n_null[0],
            names[0],
            "null_time='drop' leaves out such events; null_time='static' makes them visible at "
            "all times, such as the sex of a patient.",
        )
    if null_time != "drop":
        refuse_null_count(
            n_null[1],
            names[1],
            "Fill it with the time of the event if that is when it was known, or leave out such "
            "events with null_time='drop'.",
        )


def refuse_none_left(n_events, name):
    """Raise if null times have left no events."""
    if not n_events:
        raise ValueError(
            f"null_time='drop' leaves no events: all of them have a null time (column {name!r}) or "
            f"known time. Check how the times were read."
        )


def lay_out(columns, null_time):
    """Sort events into arrays that do not depend on the order of the rows.

    Takes what `read_columns` returns, and returns three dicts by role: the sorted rows, where
    patients, codes and visits are positions in tables; these tables of distinct values, in order;
    and the `Times` before sorting, with their names and zones.
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
    """Sort columns by patient, time and code, then by the others, which leaves no ties.

    Rows are first dealt to blocks of patients. A block that fits into the processor's cache is
    sorted several times faster than as a part of the whole table, and blocks are sorted in threads.
    """
    patient = rows["patient_id"]
    if not len(patient):
        return rows
    block = patient // np.int32(max(1, n_patients * _ROWS_PER_BLOCK // len(patient)))
    if is_ascending(patient):
        starts = np.searchsorted(block, np.arange(block[-1] + 2, dtype=np.int32))
        # The rows are sorted in place, and some may still be columns of the user's frame.
        rows = {role: row.copy() for role, row in rows.items()}
    else:
        rows, starts = deal(block, rows, ids=("patient_id", "code"))
    blocks = (
        {role: row[start:stop] for role, row in rows.items()} for start, stop in pairwise(starts)
    )
    map_in_threads(_sort_in_place, blocks)
    return rows


def _sort_in_place(rows):
    """Sort the columns of one block."""
    if is_ascending(*_sort_keys(rows)):
        return
    if "time" in rows:
        # Times that are coarse enough for a single pass almost always give the right order.
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
    """Times as integers coarse enough that `order_by` needs one pass; static events are first."""
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
