"""Samples to predict: patients and prediction times, found by an index."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..cohort import (
    Times,
    as_keys,
    check_comparable,
    choose_resolution,
    last_key_by,
    match_patients,
    read_times,
)
from ..utils import (
    column_of,
    concatenate_ranges,
    key_kind,
    map_in_threads,
    order_by,
    refuse_nulls,
    run_starts,
)
from ._clock import Clock, later
from ._occurrences import Occurrences, find_events, patients_of

_EVENTS_PER_BLOCK = 2**18
_VISITS = ("admission", "discharge")
_RENAME = (
    "rename its columns as those of events, with index.rename(columns=...); the time may be called "
    "'prediction_time' too"
)
_ACCEPTED = (
    "a list of codes, 'admission', 'discharge', a time or list of times, a Series of times by "
    "patient id, or a DataFrame of patients and times"
)


def read_index(index, table, every):
    """Read the parameter `index` of `make_samples`.

    Returns
    -------
    object
        Its ``find(clock)`` returns the patient and index time of each sample, some of which may be
        equal. `moments` holds the given times, or None where the index is events. Where
        `is_by_patient`, patients may lack events, and those are numbered after the others.
    """
    if isinstance(index, pd.DataFrame | pd.Series):
        read = _read_pairs(index, table)
    elif isinstance(index, str):
        read = _read_visits(index, table)
    else:
        read = _read_list(index, table, every)
    if every and not isinstance(read, _IndexCodes):
        raise ValueError(
            "every=True takes every occurrence of index codes; leave every=False with any other "
            "index, which gives each of its times a sample."
        )
    return read


def find_samples(index, table, *, offset, resolution):
    """Distinct patients and prediction times, sorted by both.

    Parameters
    ----------
    index : object
        As of `read_index`.
    table : EventTable
    offset : timedelta64, number or None
    resolution : {"auto", "day", "instant"}

    Returns
    -------
    clock : Clock
    patient : ndarray of int, shape (n_samples,)
        Positions in the table's patients.
    at : ndarray of shape (n_samples,)
        Prediction times, as of the clock.
    rules : list of tuples
        Rules of attrition so far, each with the patients of the samples that it left.
    """
    clock = Clock(table, _choose_resolution(index, table, offset, resolution))
    patient, at = index.find(clock)
    at = clock.whole_days(later(at, offset, "offset"))
    order = order_by(patient, at)
    patient, at = patient[order], at[order]
    is_distinct = run_starts(patient, at)
    patient, at = patient[is_distinct], at[is_distinct]
    rules = [(index.rule, patient)]
    if index.is_by_patient:
        has_events = patient < len(table.patients)
        patient, at = patient[has_events], at[has_events]
        rules.append(("patient has events", patient))
    if not len(patient):
        raise ValueError(
            "No event fits index. Give codes as they stand in events, times after the first event "
            "(as datetimes or numbers: texts are codes), or visits with ids and times."
        )
    return clock, patient, at, rules


def _choose_resolution(index, table, offset, resolution):
    moments = index.moments
    if moments is None:
        # Index events are midnights if all events are; any of them has their unit and zone.
        has_dated = table.dated_starts < table.patient_offsets[1:]
        moments = table.times_of(table.dated_starts[has_dated])
    chosen = choose_resolution(resolution, table, moments)
    is_whole = offset is None or chosen is None or not offset % np.timedelta64(1, "D")
    return "instant" if resolution == "auto" and not is_whole else chosen


@dataclass(frozen=True)
class _IndexCodes:
    """Events of some codes, the first of each patient or all."""

    position: np.ndarray
    every: bool
    rule = "index event"
    moments = None
    is_by_patient = False

    def find(self, clock):
        events = Occurrences.of(clock, self.position)
        if self.every:
            return events.patient, events.when
        is_first = run_starts(events.patient)
        return events.patient[is_first], events.when[is_first]


@dataclass(frozen=True)
class _IndexVisits:
    """First or last events of visits that have an id."""

    is_last: bool
    rule = "index event"
    moments = None
    is_by_patient = False

    def find(self, clock):
        if self.is_last:
            return _last_of_visits(clock)
        patient, _, when = _first_of_runs(clock, by_visit=True)
        return patient, when


@dataclass(frozen=True)
class _IndexTimes:
    """Times at which every patient is predicted who has an event by then."""

    moments: Times
    rule = "index time"
    is_by_patient = False

    def find(self, clock):
        patient, _, when = _first_of_runs(clock, by_visit=False)
        dates = np.unique(clock.of_moments(self.moments))
        last_known = last_key_by(dates, when.dtype, "right")
        start = np.searchsorted(last_known, as_keys(when), side="left")
        date = concatenate_ranges(start, np.full(len(start), len(dates)))
        return np.repeat(patient, len(dates) - start), dates[date]


@dataclass(frozen=True)
class _IndexPairs:
    """Times given for patients, of whom some may have no events."""

    patient: np.ndarray
    given: Times
    n_patients: int
    rule = "index time"
    is_by_patient = True

    @property
    def moments(self):
        # Samples without events are left out, so they have no say.
        return self.given.take(np.flatnonzero(self.patient < self.n_patients))

    def find(self, clock):
        return self.patient, clock.of_moments(self.given)


def _read_visits(index, table):
    if index not in _VISITS:
        raise ValueError(
            f"index={index!r} is not accepted; give {_ACCEPTED}. A time is a datetime or a number, "
            f"such as pandas.Timestamp('2020-01-31'); a code stands in a list."
        )
    if table.visit is None:
        raise ValueError(
            f"index={index!r} needs visit ids, and events has none. Name their column with "
            f"visit_id=, where the EventTable is made."
        )
    return _IndexVisits(is_last=index == "discharge")


def _read_list(index, table, every):
    values = list(index) if pd.api.types.is_list_like(index) else [index]
    if not values:
        raise ValueError(f"index is empty; give {_ACCEPTED}.")
    column = pd.Series(values)
    if key_kind(column) in ("string", key_kind(table.codes)):
        return _IndexCodes(find_events(table, values, "index"), every)
    return _IndexTimes(_read_times_of(column, "index", table))


def _read_pairs(index, table):
    if not len(index):
        raise ValueError("index is empty: it names nobody to predict.")
    if isinstance(index, pd.DataFrame):
        time_column = table.columns["time"]
        if time_column not in index.columns and "prediction_time" in index.columns:
            time_column = "prediction_time"
        patient, times = (
            column_of(index, name, "index", fixed=role, way_out=_RENAME)
            for name, role in ((table.columns["patient_id"], "patient_id"), (time_column, "time"))
        )
        name = times.name
    elif isinstance(index.index, pd.MultiIndex):
        raise ValueError("The index of a Series as index= must be patient ids; it is a MultiIndex.")
    else:
        patient, times = pd.Series(index.index, name=table.columns["patient_id"]), index
        name = "index"
    position = match_patients(patient, table.patients, "index")
    return _IndexPairs(position, _read_times_of(times, name, table), len(table.patients))


def _read_times_of(column, name, table):
    """Index times, checked to compare with those of events."""
    kind = key_kind(column)
    if kind == "string":
        raise TypeError(
            f"Column {name!r} of index holds texts, and must hold times. Convert it with "
            f"pandas.to_datetime; give codes as a list, for instance with .tolist()."
        )
    refuse_nulls(column.isna(), name, "Every sample needs its index time.")
    times = read_times(column.reset_index(drop=True), name)
    check_comparable(table.times_of(slice(0)), times)
    return times


def _first_of_runs(clock, *, by_visit):
    """First time that counts of each patient's events, or of each of their visits.

    Returns
    -------
    patient, visit, when : ndarrays of shape (n_runs,)
    """

    def reduce(part):
        position, patient, visit = _runs_of(clock.table, part, by_visit)
        when = clock.of_events(position)
        starts = np.flatnonzero(run_starts(patient, visit))
        if len(starts):
            when = np.minimum.reduceat(when, starts)
        return patient[starts], visit[starts], when

    # A visit may be several runs, where visits overlap or a block ends.
    patient, visit, when = _concatenate_blocks(reduce, clock.table)
    order = order_by(patient, visit, when)
    patient, visit, when = patient[order], visit[order], when[order]
    is_first = run_starts(patient, visit)
    return patient[is_first], visit[is_first], when[is_first]


def _last_of_visits(clock):
    """Patient of each visit with an id, and when its last event in the order of times counts.

    A date alone comes before the times of its day, so that diagnoses dated by the day of a
    discharge do not move it.
    """

    def reduce(part):
        position, patient, visit = _runs_of(clock.table, part, by_visit=True)
        is_last = np.roll(run_starts(patient, visit), -1)
        return patient[is_last], visit[is_last], position[is_last]

    patient, visit, position = _concatenate_blocks(reduce, clock.table)
    order = order_by(patient, visit, position)
    is_last = np.roll(run_starts(patient[order], visit[order]), -1)
    last = order[is_last]
    return patient[last], clock.of_events(position[last])


def _runs_of(table, part, by_visit):
    """Positions of the dated events of a part of a table, with their patients and visits."""
    keep = ~table.is_static(part)
    if by_visit:
        keep &= table.visit[part] >= 0
    position = part.start + np.flatnonzero(keep)
    visit = table.visit[position] if by_visit else np.zeros(len(position), dtype=np.int32)
    return position, patients_of(table, position), visit


def _concatenate_blocks(function, table):
    """Columns that a function returns for each block of events, joined."""
    starts = range(0, len(table), _EVENTS_PER_BLOCK)
    parts = map_in_threads(function, [slice(start, start + _EVENTS_PER_BLOCK) for start in starts])
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]
