"""Table of events, laid out once for any number of cohorts."""

import inspect
from functools import cached_property

import numpy as np

from ..utils import offsets_from_lengths, open_files, order_by, prune, shown
from ._days import is_midnight
from ._layout import lay_out, read_columns, refuse_none_left
from ._repr import table_html
from ._store import open_store, write_store
from ._times import Times, as_keys, check_comparable, last_key_by, null_times

_EVENTS_PER_BLOCK = 2**18
_NULL_TIMES = ("error", "drop", "static")
_PER_EVENT = ("code", "time", "known_time", "visit", "value")
_DERIVED = ("has_midnights_only", "has_midnights", "known_ascending", "may_be_known_early")


class EventTable:
    """Events laid out once: checked, encoded, and sorted by patient and time.

    Any number of cohorts can share a table. Each of them adds only what belongs to its samples, and
    the arrays of the table never change.

    Parameters
    ----------
    events : DataFrame, str or path
        Long frame with one row per event, in any order. It needs a patient, a code, and a time or a
        visit id, preferably both. Value and known time are used if there are such columns. The
        MEDS names ``subject_id`` and ``numeric_value`` are recognised. The frame is neither changed
        nor kept. It can be

        - a DataFrame of pandas or polars, or a table of pyarrow;
        - a frame whose rows an engine holds: a LazyFrame of polars, a relation of DuckDB, or a
          frame of Spark, Dask or ibis. Only the columns that are read leave the engine;
        - the path of a parquet file, of a folder of such files, or a pattern that matches some,
          such as ``"events/*.parquet"``, which DuckDB reads.
    patient_id, time, code, visit_id, value, known_time : str
        Columns of `events`, by default the one with the name of the parameter. With None, a column
        other than `patient_id` and `code` is not used.

        - `time` orders the events: datetimes (aware or naive), dates, integers or floats. Without
          times, visits are ordered by id, or by category if the ids are an ordered categorical.
        - `known_time` is when an event was recorded, such as a diagnosis that is coded at
          discharge. It decides whether the event is visible; without it, `time` does. It is not
          used without `time`.
    null_time : {"error", "drop", "static"}, default="error"
        How events without a time are handled: "error" raises, "drop" leaves them out, together with
        events without a known time, and "static" makes them always visible, in a visit of their own
        that comes first.
    directory : str or path, default=None
        Directory that does not exist yet, in which the table is laid out on disk instead of in
        memory; `open` opens it again. Events of an engine or in files may then be larger than
        memory. The directory is there whole, or not at all if this is interrupted or killed, and
        can then be built again. It needs a column of times.

    Attributes
    ----------
    patients : ndarray of shape (n_patients,)
        Distinct patient ids, ascending.
    patient_offsets : ndarray of shape (n_patients + 1,)
        Patient `p` has the events ``patient_offsets[p]:patient_offsets[p + 1]``.
    dated_starts : ndarray of shape (n_patients,)
        Position of each patient's first event with a time; static events come before it.
    code : ndarray of shape (n_events,)
        Code of each event, as a position in `codes`.
    codes : ndarray of shape (n_codes,)
        Distinct codes, ascending.
    time : ndarray of shape (n_events,) or None
        Time of each event: datetime64, in UTC if aware, or a number. Null for static events.
    known_time : ndarray of shape (n_events,) or None
        Known time of each event.
    visit : ndarray of shape (n_events,) or None
        Visit id of each event, as a position in `visit_ids`; -1 for an event without one.
    visit_ids : ndarray of shape (n_visit_ids,) or None
        Distinct visit ids, ascending, or in the order of their categories. On disk, those of each
        patient ascend, and an id that several patients have may be repeated.
    value : ndarray of shape (n_events,) or None
        Numeric value of each event; NaN for an event without one.
    zone, known_zone : tzinfo or None
        Time zones of the times and of the known times; None if they are naive.
    columns : dict of str to str or None
        Name of the column that was read for each parameter, None where there was none.
    directory : Path or None
        Directory of a table on disk.

    Raises
    ------
    TypeError
        If `events` is not a frame, or a column holds values of a type that is not accepted, or
        values of several types that cannot be compared.
    ValueError
        If a column is missing or has nulls, the frame is empty, times are infinite or are dates
        written as numbers, a parameter has a value that is not accepted, or `directory` exists
        already, or is being written by another process.
    FileNotFoundError
        If a path of `events` leads to no parquet file.
    OSError
        If `directory` cannot be written, or its disk has too little space.

    See Also
    --------
    Cohort : Samples to predict, each with its visible events.
    make_samples : Samples and outcomes drawn from events.

    Notes
    -----
    A table on disk is built in three steps: an engine that holds the events writes the columns that
    are read to files; DuckDB splits these into parts of whole patients, about four million events
    each; and each part is laid out in memory and appended. So its arrays are those of a table in
    memory. On a cluster, all workers must see the disk of `directory`. Progress is logged at the
    level INFO of the logger "sklearn_ehr". Arrays of numbers are mapped from disk, and strings are
    held in memory. A cohort on such a table, and its subsets, are pickled with the path of the
    directory and without events.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import Cohort, EventTable
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 2],
    ...     "time": pd.to_datetime(["2020-01-01", "2020-03-01", "2020-02-01"]),
    ...     "code": ["I10", "E11", "I10"],
    ... })
    >>> table = EventTable(events)
    >>> table
    EventTable(n_patients=2, n_events=3, n_codes=2, patient_id='patient_id', time='time',
               code='code', visit_id=None, value=None, known_time=None)
    >>> Cohort(table)
    Cohort(n_samples=2, n_patients=2, n_events=3)
    """

    def __init__(
        self,
        events,
        *,
        patient_id="patient_id",
        time="time",
        code="code",
        visit_id="visit_id",
        value="value",
        known_time="known_time",
        null_time="error",
        directory=None,
    ):
        if not isinstance(null_time, str) or null_time not in _NULL_TIMES:
            raise ValueError(
                f"null_time={shown(null_time)} is not accepted; choose one of {_NULL_TIMES}."
            )
        names = {
            "patient_id": patient_id,
            "time": time,
            "code": code,
            "visit_id": visit_id,
            "value": value,
            "known_time": known_time,
        }
        if directory is not None:
            write_store(directory, events, names, null_time, self._of_columns)
            self._set_arrays(**open_store(directory))
            return
        self._lay_out(read_columns(open_files(events, "events"), names), null_time)
        refuse_none_left(len(self), self.columns["time"])

    @classmethod
    def open(cls, directory, *, verify=False):
        """Open a table that was built with `directory`, without reading its events.

        Parameters
        ----------
        directory : str or path
            Directory of the store.
        verify : bool, default=False
            Whether all of it is read and compared with its checksums, such as after copying it to
            another disk. Otherwise, only the sizes of its files are checked.

        Returns
        -------
        EventTable
            A table whose arrays of numbers are mapped from disk. Strings, such as codes, are held
            in memory.

        Raises
        ------
        FileNotFoundError
            If there is no such directory.
        ValueError
            If the directory is not a store of event tables, is not intact, or has the format of
            another version.
        """
        table = object.__new__(cls)
        table._set_arrays(**open_store(directory, verify=verify))
        return table

    @classmethod
    def _of_columns(cls, columns, null_time):
        table = object.__new__(cls)
        table._lay_out(columns, null_time)
        return table

    def _lay_out(self, columns, null_time):
        rows, tables, times = lay_out(columns, null_time)
        n_patients = len(tables["patient_id"])
        offsets = np.searchsorted(rows["patient_id"], np.arange(n_patients + 1, dtype=np.int32))
        n_static = 0
        if times:
            is_static = null_times(rows["time"])
            n_static = np.bincount(rows["patient_id"][is_static], minlength=n_patients)
        if "known_time" in times:
            check_comparable(times["time"], times["known_time"])
        used = {**columns, "known_time": columns["known_time"] if times else None}
        self._set_arrays(
            directory=None,
            columns={role: None if c is None else c.name for role, c in used.items()},
            zone=times["time"].zone if times else None,
            known_zone=times["known_time"].zone if "known_time" in times else None,
            patients=tables["patient_id"],
            patient_offsets=offsets,
            dated_starts=offsets[:-1] + n_static,
            code=rows["code"],
            codes=tables["code"],
            time=rows.get("time"),
            known_time=rows.get("known_time"),
            visit=rows.get("visit_id"),
            visit_ids=tables.get("visit_id"),
            value=rows.get("value"),
        )

    def _set_arrays(self, **attributes):
        for array in attributes.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        vars(self).update(attributes)

    def __len__(self):
        return len(self.code)

    def __repr__(self):
        columns = ", ".join(f"{role}={name!r}" for role, name in self.columns.items())
        return (
            f"EventTable(n_patients={len(self.patients)}, n_events={len(self)}, "
            f"n_codes={len(self.codes)}, {columns})"
        )

    def _repr_html_(self):
        return table_html(self)

    def _release(self):
        """Let the system take back the memory of arrays that are mapped from disk, if any are."""
        if self.directory is not None:
            self._folder.release()

    def bounds_of(self, patient):
        """Positions at which the static and the dated events of patients start, and both end.

        `patient` are positions in `patients`. One beyond the end stands for a patient without
        events.
        """
        has_events = patient < len(self.patients)
        if not has_events.any():
            return (np.zeros(len(patient), dtype=np.int64),) * 3
        known = np.where(has_events, patient, 0)
        offsets = self.patient_offsets
        ends = offsets[known], self.dated_starts[known], offsets[known + 1]
        return tuple(np.where(has_events, end, 0) for end in ends)

    def last_times_of(self, patient):
        """Time of the last event of patients: `Times`; arbitrary where one has none."""
        if not len(self):
            return Times(
                np.zeros(len(patient), dtype=self.time.dtype), self.columns["time"], self.zone
            )
        return self.times_of(np.maximum(self.bounds_of(patient)[2] - 1, 0))

    def is_static(self, event):
        """Whether these events are static: the table has times, but they have none."""
        if self.time is None:
            return np.zeros(len(self.code[event]), dtype=bool)
        return null_times(self.time[event])

    def times_of(self, event):
        """Times of these events, by which they are ordered, as `Times`."""
        return Times(self.time[event], self.columns["time"], self.zone)

    def known_times_of(self, event):
        """Times by which these events are known or not: known times if any, as `Times`."""
        if self.known_time is None:
            return self.times_of(event)
        return Times(self.known_time[event], self.columns["known_time"], self.known_zone)

    @property
    def is_dated(self):
        """Whether each event is not static, ndarray of bool, shape (n_events,)."""
        return ~self.is_static(slice(None))

    @cached_property
    def has_midnights_only(self):
        """Whether all times and known times of dated events are midnights."""
        columns = [self.times_of] + ([] if self.known_time is None else [self.known_times_of])
        return all(
            bool((is_midnight(times.values, times.zone) | self.is_static(part)).all())
            for column in columns
            for part, times in ((part, column(part)) for part in self._event_blocks())
        )

    @cached_property
    def has_midnights(self):
        """Whether any time that decides visibility is a midnight."""
        return any(
            bool((is_midnight(times.values, times.zone) & ~self.is_static(part)).any())
            for part, times in ((part, self.known_times_of(part)) for part in self._event_blocks())
        )

    @cached_property
    def may_be_known_early(self):
        """Whether any event, such as a planned one, may have been known before its time."""
        return any(
            bool((last_key_by(known, self.time.dtype, "right") < as_keys(time)).any())
            for known, time in (
                (self.known_time[part], self.time[part]) for part in self._event_blocks()
            )
        )

    @cached_property
    def known_ascending(self):
        """Known times, ascending within each patient, after those of static events."""
        patient = np.repeat(
            np.arange(len(self.patients), dtype=np.int32), np.diff(self.patient_offsets)
        )
        order = order_by(patient, self.is_dated, self.known_time)
        return self.known_time[order]

    def _event_blocks(self):
        starts = range(0, len(self), _EVENTS_PER_BLOCK)
        return [slice(start, start + _EVENTS_PER_BLOCK) for start in starts]

    def compact(self, patients, keep):
        """Select patients and events, and drop the codes and visit ids that are left unused.

        `patients` are positions, ascending, and `keep` is True for each event to keep, all of them
        of these patients. Also returns the number of events kept before each position, which is
        the new position of an event kept and of the end of a range.
        """
        position = offsets_from_lengths(keep)
        table = object.__new__(EventTable)
        vars(table).update(
            {name: value for name, value in vars(self).items() if name not in _DERIVED}
        )
        arrays = {
            name: None if getattr(self, name) is None else getattr(self, name)[keep]
            for name in _PER_EVENT
        }
        arrays["code"], arrays["codes"] = prune(arrays["code"], self.codes)
        if self.visit is not None:
            arrays["visit"], arrays["visit_ids"] = prune(arrays["visit"], self.visit_ids)
        table._set_arrays(
            patients=self.patients[patients],
            patient_offsets=np.append(position[self.patient_offsets[patients]], position[-1]),
            dated_starts=position[self.dated_starts[patients]],
            **arrays,
        )
        return table, position

    def __setstate__(self, state):
        if state.get("directory") is not None:
            state = open_store(state["directory"], state["store_id"])
        self._set_arrays(**state)

    def __getstate__(self):
        if self.directory is not None:
            return {"directory": self.directory, "store_id": self._store_id}
        return {name: value for name, value in vars(self).items() if name not in _DERIVED}


def as_event_table(events, **columns):
    """Return an event table unchanged; build one from a frame.

    Options that only apply to a frame are refused together with a table.
    """
    if not isinstance(events, EventTable):
        return EventTable(events, **columns)
    defaults = inspect.signature(EventTable).parameters
    named = [
        name
        for name, column in columns.items()
        if name != "patient_id" and column != defaults[name].default
    ]
    if named:
        raise TypeError(
            f"{', '.join(named)} cannot be given with an EventTable, whose columns are already "
            f"chosen. Give it to EventTable(...)."
        )
    return events
