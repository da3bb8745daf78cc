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
    read_times,
)
from ..utils import (
    column_of,
    concatenate_ranges,
    is_frame,
    key_kind,
    map_in_threads,
    order_by,
    read_frame,
    refuse_nulls,
    run_starts,
)
from ._clock import Clock, later
from ._occurrences import Occurrences, find_events, patients_of
from ._patients import match_with_events, read_patients

_EVENTS_PER_BLOCK = 2**18
_VISITS = ("admission", "discharge")
_RENAME = (
    "rename it as in events, with index.rename(columns=...); the time may also be named "
    "'prediction_time'"
)
_ACCEPTED = (
    "a list of codes, 'admission', 'discharge', a time or list of times, a Series of times by "
    "patient id, or a DataFrame of patients and times"
)


def read_index(index, table, every):
    """The parameter `index` of `make_samples`, as an `Index`."""
    if is_frame(index):
        read = _read_pairs(read_frame(index, "index"), table)
    elif isinstance(index, pd.Series):
        read = _read_pairs(index, table)
    elif isinstance(index, str):
        read = _read_visits(index, table)
    else:
        read = _read_list(index, table, every)
    if every and not isinstance(read, _IndexCodes):
        raise ValueError(
            "every=True takes every occurrence of index codes. With any other index, leave "
            "every=False: each of its times makes a sample."
        )
    return read


def find_samples(index, table, offset, resolution):
    """Find the distinct pairs of patient and prediction time, sorted by both.

    Returns the clock, the positions of the patients in the table, the prediction times in times of
    the clock, the positions of the samples in the index, and the rules of attrition so far, each
    with the patients of the samples left after it.
    """
    clock = Clock(table, _choose_resolution(index, table, offset, resolution))
    patient, at = index.find(clock)
    at = clock.whole_days(later(at, offset, "offset"))
    order = order_by(patient, at)
    order = order[run_starts(patient[order], at[order])]
    patient, at = patient[order], at[order]
    rules = [(index.rule, patient)]
    if index.is_by_patient:
        has_events = patient < len(table.patients)
        patient, at, order = patient[has_events], at[has_events], order[has_events]
        rules.append(("patient has events", patient))
    if not len(patient):
        raise ValueError(
            "No event fits index. Give codes exactly as in events, times after the first event (as "
            "datetimes or numbers: strings are codes), or visits with ids and times."
        )
    return clock, patient, at, order, rules


def _choose_resolution(index, table, offset, resolution):
    moments = index.moments
    if moments is None:
        # Index events are midnights if all events are, and any event has their unit and zone.
        has_dated = table.dated_starts < table.patient_offsets[1:]
        moments = table.times_of(table.dated_starts[has_dated])
    chosen = choose_resolution(resolution, table, moments)
    is_whole = offset is None or chosen is None or not offset % np.timedelta64(1, "D")
    return "instant" if resolution == "auto" and not is_whole else chosen


class Index:
    """Interface of an index.

    `rule` is the rule of attrition that the index times satisfy. If times are given by patient,
    `is_by_patient`, patients may lack events, and these have the positions after all others.
    `others` are further columns of the index, a frame or None.
    """

    rule = "index event"
    is_by_patient = False
    others = None

    @property
    def moments(self):
        """Given index times, as `Times`; None if they are those of events."""
        return None

    def find(self, clock):
        """Patient and index time of each sample, in any order and with repeats."""
        raise NotImplementedError


@dataclass(frozen=True)
class _IndexCodes(Index):
    """Events with given codes, either the first per patient or all."""

    position: np.ndarray
    every: bool

    def find(self, clock):
        events = Occurrences.of(clock.table, self.position, clock.of_events(self.position))
        if self.every:
            return events.patient, events.when
        is_first = run_starts(events.patient)
        return events.patient[is_first], events.when[is_first]


@dataclass(frozen=True)
class _IndexVisits(Index):
    """First or last events of visits that have an id."""

    is_last: bool

    def find(self, clock):
        if self.is_last:
            return _last_of_visits(clock)
        patient, _, when = _first_of_runs(clock, by_visit=True)
        return patient, when


@dataclass(frozen=True)
class _IndexTimes(Index):
    """Times at which all patients with an earlier event are predicted."""

    given: Times
    rule = "index time"

    @property
    def moments(self):
        return self.given

    def find(self, clock):
        patient, _, when = _first_of_runs(clock, by_visit=False)
        dates = np.unique(clock.of_moments(self.given))
        last_known = last_key_by(dates, when.dtype, "right")
        start = np.searchsorted(last_known, as_keys(when), side="left")
        date = concatenate_ranges(start, np.full(len(start), len(dates)))
        return np.repeat(patient, len(dates) - start), dates[date]


@dataclass(frozen=True)
class _IndexPairs(Index):
    """Times given by patient, some of whom may have no events."""

    patient: np.ndarray
    given: Times
    n_patients: int
    others: pd.DataFrame | None
    rule = "index time"
    is_by_patient = True

    @property
    def moments(self):
        # Patients without events are dropped, so they must not affect the resolution.
        return self.given.take(np.flatnonzero(self.patient < self.n_patients))

    def find(self, clock):
        return self.patient, clock.of_moments(self.given)


def _read_visits(index, table):
    if index not in _VISITS:
        raise ValueError(
            f"index={index!r} is not accepted; give {_ACCEPTED}. Give a time as a datetime or a "
            f"number, such as pandas.Timestamp('2020-01-31'), and a code in a list."
        )
    if table.visit is None:
        raise ValueError(
            f"index={index!r} needs visit ids, but events has none. Name their column with "
            f"visit_id=, in EventTable(...) if you use one."
        )
    return _IndexVisits(is_last=index == "discharge")


def _read_list(index, table, every):
    values = list(index) if pd.api.types.is_list_like(index) else [index]
    if not values:
        raise ValueError(f"index is empty; give {_ACCEPTED}.")
    column = pd.Series(values, dtype=object)
    if key_kind(column) in ("string", key_kind(table.codes)):
        return _IndexCodes(find_events(table, values, "index"), every)
    return _IndexTimes(_read_times_of(column, "index", table))


def _read_pairs(index, table):
    if not len(index):
        raise ValueError("index is empty: there is nobody to predict.")
    if isinstance(index, pd.DataFrame):
        time_column = table.columns["time"]
        if time_column not in index.columns and "prediction_time" in index.columns:
            time_column = "prediction_time"
        patient, times = (
            column_of(index, name, "index", fixed=role, way_out=_RENAME)
            for name, role in ((table.columns["patient_id"], "patient_id"), (time_column, "time"))
        )
        name, others = times.name, index.drop(columns=[patient.name, times.name])
    else:
        patient, times, name = read_patients(index, table, "index"), index, "index"
        others = None
    position = match_with_events(patient, table, "index")
    times = _read_times_of(times, name, table)
    return _IndexPairs(position, times, len(table.patients), others)


def _read_times_of(column, name, table):
    """Read index times, and check that they can be compared with those of events."""
    kind = key_kind(column)
    if kind == "string":
        raise TypeError(
            f"Column {name!r} of index holds strings, but must hold times. Convert it with "
            f"pandas.to_datetime, or give codes as a list, for instance with .tolist()."
        )
    refuse_nulls(column.isna(), name, "Every sample needs an index time.")
    times = read_times(column.reset_index(drop=True), name)
    check_comparable(table.times_of(slice(0)), times)
    return times


def _first_of_runs(clock, *, by_visit):
    """Patient, visit and earliest time at which an event counts, per patient or per visit."""

    def reduce(part):
        position, patient, visit = _runs_of(clock.table, part, by_visit)
        when = clock.of_events(position)
        starts = np.flatnonzero(run_starts(patient, visit))
        if len(starts):
            when = np.minimum.reduceat(when, starts)
        return patient[starts], visit[starts], when

    # A visit may be split into several runs, by an overlapping visit or the end of a block.
    patient, visit, when = _concatenate_blocks(reduce, clock.table)
    order = order_by(patient, visit, when)
    patient, visit, when = patient[order], visit[order], when[order]
    is_first = run_starts(patient, visit)
    return patient[is_first], visit[is_first], when[is_first]


def _last_of_visits(clock):
    """Patient of each visit with an id, and the time at which its last event counts.

    The last event is the last in the order of times. There, a date precedes the times of its day,
    so diagnoses with only the date of a discharge do not move it.
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
    """Positions of the dated events in a part of a table, with their patients and visits."""
    keep = ~table.is_static(part)
    if by_visit:
        keep &= table.visit[part] >= 0
    position = part.start + np.flatnonzero(keep)
    visit = table.visit[position] if by_visit else np.zeros(len(position), dtype=np.int32)
    return position, patients_of(table, position), visit


def _concatenate_blocks(function, table):
    """Apply a function to blocks of events, and concatenate the columns that it returns."""
    starts = range(0, len(table), _EVENTS_PER_BLOCK)
    parts = map_in_threads(function, [slice(start, start + _EVENTS_PER_BLOCK) for start in starts])
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]
