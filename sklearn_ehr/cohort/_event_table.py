"""How a long frame of events is checked and laid out as arrays, patient by patient."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from ..utils import (
    as_integers,
    column_of,
    deal,
    encode,
    is_ascending,
    map_in_threads,
    offsets_from_lengths,
    order_by,
    prune,
    refuse_nulls,
    require_frame,
)
from ._times import null_times, read_times

_ROWS_PER_BLOCK = 2**17


@dataclass(frozen=True)
class EventTable:
    """Events sorted by patient, undated ones first, then by time and code; shared by all subsets.

    Attributes
    ----------
    patient_offsets : ndarray of shape (n_patients + 1,)
        Events ``patient_offsets[p]:patient_offsets[p + 1]`` are patient `p`'s.
    dated_starts : ndarray of shape (n_patients,)
        Where each patient's events with a time start; static ones stand before.
    code : ndarray of shape (n_events,)
        Positions in `codes`.
    codes : ndarray of shape (n_codes,)
        The distinct codes, ascending.
    time : ndarray of shape (n_events,) or None
        Time that orders an event: datetime64 in UTC, or a number.
    known : ndarray of shape (n_events,) or None
        When an event was known, where that is not its time.
    visit : ndarray of shape (n_events,) or None
        Positions in `visit_ids`; -1 where an event has none.
    visit_ids : ndarray of shape (n_visit_ids,) or None
        The distinct visit ids, ascending.
    value : ndarray of shape (n_events,) or None
        Numeric value of an event, NaN where it has none.
    zone : tzinfo or None
        Zone of an aware `time`.
    """

    patient_offsets: np.ndarray
    dated_starts: np.ndarray
    code: np.ndarray
    codes: np.ndarray
    time: np.ndarray | None
    known: np.ndarray | None
    visit: np.ndarray | None
    visit_ids: np.ndarray | None
    value: np.ndarray | None
    zone: object = None

    def __len__(self):
        return len(self.code)

    def is_static(self, event):
        """Whether the events of this index have no time though the table has one."""
        if self.time is None:
            return np.zeros(len(self.code[event]), dtype=bool)
        return null_times(self.time[event])

    def compact(self, patients, keep):
        """Keep these patients, and of their events those marked; prune codes and visit ids.

        Returns the smaller table and, for each old position, its new one.
        """
        position = offsets_from_lengths(keep)
        code, codes = prune(self.code[keep], self.codes)
        visit, visit_ids = None, None
        if self.visit is not None:
            visit, visit_ids = prune(self.visit[keep], self.visit_ids)
        table = EventTable(
            patient_offsets=np.append(position[self.patient_offsets[patients]], position[-1]),
            dated_starts=position[self.dated_starts[patients]],
            code=code,
            codes=codes,
            time=None if self.time is None else self.time[keep],
            known=None if self.known is None else self.known[keep],
            visit=visit,
            visit_ids=visit_ids,
            value=None if self.value is None else self.value[keep],
            zone=self.zone,
        )
        return table, position


def read_events(events, *, patient_id, time, code, visit_id, value, known_time, null_time):
    """Check a long frame of events and lay it out.

    Returns
    -------
    table : EventTable
    patients : ndarray of shape (n_patients,)
        Ids of the table's patients, ascending.
    times : Times or None
        The times before they were aligned with prediction times; `table.time` holds `times.values`.
    known : Times or None
        When facts were known, where that differs from `times`.
    """
    require_frame(events, "events")
    if not len(events):
        raise ValueError("events is an empty frame: there is no history to learn from.")
    patient = column_of(events, patient_id, "events", fixed="patient_id")
    code = column_of(events, code, "events", fixed="code")
    visit = column_of(events, visit_id, "events", fixed="visit_id", optional=True)
    time = column_of(events, time, "events", fixed="time", optional=True)
    known = column_of(events, known_time, "events", fixed="known_time", optional=True)
    value = column_of(events, value, "events", fixed="value", optional=True)
    if time is None and visit is None:
        raise ValueError(
            f"events needs a column of times or of visit ids to order a history; it has neither. "
            f"Its columns are {list(events.columns)}; name one with time= or visit_id=."
        )
    drop_rows = "Drop those rows, or find out why the value is missing."
    refuse_nulls(patient.isna(), patient.name, drop_rows)
    refuse_nulls(code.isna(), code.name, drop_rows)
    if value is not None and not pd.api.types.is_numeric_dtype(value.dtype):
        raise TypeError(
            f"Column {value.name!r} must be numeric, got dtype {value.dtype}. Convert it with "
            f"pandas.to_numeric, or leave it out with value=None."
        )
    times = known_times = None
    if time is not None:
        times = read_times(time, time.name)
        if known is not None:
            known_times = read_times(known, known.name)
        keep = _settle_nulls(times, known_times, null_time)
    else:
        refuse_nulls(visit.isna(), visit.name, "Without a time column every event needs its visit.")
        keep = np.ones(len(events), dtype=bool)
    return _lay_out(patient, times, known_times, code, visit, value, keep)


def _settle_nulls(times, known, null_time):
    """Apply `null_time`; returns True for the rows to keep."""
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


def _lay_out(patient, times, known, code, visit, value, keep):
    """Sort the rows to keep into a table that is the same for any order of the rows."""
    ids = {"patient": patient, "code": code, "visit": visit}
    ids = {role: column for role, column in ids.items() if column is not None}
    encoded = dict(zip(ids, map_in_threads(encode, ids.values()), strict=True))
    rows = {role: position for role, (position, _) in encoded.items()}
    tables = {role: table for role, (_, table) in encoded.items()}
    if value is not None:
        rows["value"] = value.to_numpy(dtype=np.float64, na_value=np.nan)
    for role, column in {"time": times, "known": known}.items():
        if column is not None:
            rows[role] = column.values
    if not keep.all():
        rows = {role: row[keep] for role, row in rows.items()}
        for role in rows.keys() & {"code", "visit"}:
            rows[role], tables[role] = prune(rows[role], tables[role])

    n_patients = len(tables["patient"])
    rows = _sort_by_patient(rows, n_patients)
    offsets = np.searchsorted(rows["patient"], np.arange(n_patients + 1, dtype=np.int32))
    n_static = 0
    if times is not None:
        is_static = null_times(rows["time"])
        n_static = np.bincount(rows["patient"][is_static], minlength=n_patients)
    table = EventTable(
        patient_offsets=offsets,
        dated_starts=offsets[:-1] + n_static,
        code=rows["code"],
        codes=tables["code"],
        time=rows.get("time"),
        known=None,
        visit=rows.get("visit"),
        visit_ids=tables.get("visit"),
        value=rows.get("value"),
        zone=None if times is None else times.zone,
    )
    times, known = (
        None if column is None else replace(column, values=rows[role])
        for role, column in {"time": times, "known": known}.items()
    )
    return table, tables["patient"], times, known


def _sort_by_patient(rows, n_patients):
    """Columns in the order of patients, then of time and code; for any order of the rows the same.

    Rows are dealt to blocks of patients first: small enough for the processor's cache, a block is
    sorted several times faster than its share of the whole table, and beside others.
    """
    patient = rows["patient"]
    block = patient // np.int32(max(1, n_patients * _ROWS_PER_BLOCK // len(patient)))
    if is_ascending(patient):
        starts = np.searchsorted(block, np.arange(block[-1] + 2, dtype=np.int32))
        # Copies, as columns of the user's frame may be among them.
        rows = {role: row.copy() for role, row in rows.items()}
    else:
        rows, starts = deal(block, rows, ids=("patient", "code"))
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
        # By times so coarse that they need one pass: nearly always the right order already.
        _reorder(rows, order_by(rows["patient"], _coarse_times(rows), rows["code"]))
    if not is_ascending(*_sort_keys(rows)):
        _reorder(rows, order_by(*_sort_keys(rows)))


def _sort_keys(rows):
    if "time" not in rows:
        return [rows[role] for role in ("patient", "visit", "code", "value") if role in rows]
    ties = [rows[role] for role in ("code", "visit", "value") if role in rows]
    return [rows["patient"], ~null_times(rows["time"]), rows["time"], *ties]


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
    ids = (rows["patient"], rows["code"], np.arange(len(time)))
    n_free = 64 - sum((int(row.max()) - int(row.min())).bit_length() for row in ids)
    n_dropped = max(0, (high - low).bit_length() + 1 - n_free)
    return time >> min(n_dropped, 63)
