"""Follow-up of samples: events within the horizon, and the end of observation."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from ..cohort import check_comparable, elapsed, look_back, read_time, read_times, warn_if_far_ahead
from ..utils import readable
from ._clock import is_by, later
from ._patients import match_with_events, read_patients

NOTHING, OUTCOME, COMPETING = 0, 1, 2


@dataclass(frozen=True)
class FollowUp:
    """Follow-up of samples, as far as it was observed.

    `event` is the one that came first, `NOTHING`, `OUTCOME` or `COMPETING`, and `event_at` its
    time, arbitrary if there is none. `stop` is the end of the horizon, and `end` that of
    observation.
    """

    event: np.ndarray
    event_at: np.ndarray
    stop: np.ndarray
    end: np.ndarray

    @property
    def is_complete(self):
        """Whether the horizon was observed in full, or ended by a competing event."""
        return is_by(self.stop, self.end) | (self.event == COMPETING)

    def duration(self, at):
        """Time from the prediction to the event, or else until the follow-up ends."""
        duration = np.empty(len(at))
        has_event, ends_whole = self.event != NOTHING, is_by(self.stop, self.end)
        for part, until in (
            (has_event, self.event_at),
            (~has_event & ends_whole, self.stop),
            (~has_event & ~ends_whole, self.end),
        ):
            duration[part] = elapsed(at[part], until[part])
        return duration

    def take(self, samples):
        """Select samples by position."""
        return FollowUp(*(getattr(self, field.name)[samples] for field in fields(self)))


def follow(patient, at, end, outcomes, competing, *, gap, horizon):
    """Follow samples from their prediction times to the end of the horizon or of observation.

    `at` has the prediction times, and `end` the end of observation of each sample.
    """
    start = later(at, gap, "gap")
    stop = later(start, horizon, "horizon")

    def first_seen(events, after):
        has_one, when = events.first_after(patient, after)
        return has_one & is_by(when, stop) & is_by(when, end), when

    has_outcome, event_at = first_seen(outcomes, start)
    event = np.where(has_outcome, OUTCOME, NOTHING)
    if competing is not None:
        has_competing, competing_at = first_seen(competing, at)
        is_first = has_competing & ~(has_outcome & (event_at <= competing_at))
        event[is_first] = COMPETING
        event_at = np.where(is_first, competing_at, event_at)
    return FollowUp(event, event_at, stop, end)


def read_end(observation_end, clock, patient):
    """End of observation of each sample, in times of the clock.

    Warns if no end is given and a few events are over a century later than all others.
    """
    if observation_end is None:
        return np.full(len(patient), _latest(clock))
    if isinstance(observation_end, pd.Series):
        return _end_by_patient(observation_end, clock, patient)
    if pd.api.types.is_list_like(observation_end):
        raise TypeError(
            f"observation_end must be one time for all patients, or a Series of times by patient "
            f"id, got {type(observation_end).__name__}."
        )
    end = read_time(observation_end, "observation_end", clock.table.zone)
    check_comparable(clock.table.times_of(slice(0)), end)
    return np.repeat(clock.of_ends(end), len(patient))


def _latest(clock):
    """Time at which the latest event counts, ignoring a few that are over a century later."""
    times = clock.table.times_of(slice(None))
    is_far = warn_if_far_ahead(
        times,
        "They are ignored in finding the end of observation. Give observation_end, or drop them.",
    )
    is_last = ~(is_far | times.is_null)
    latest = times.values[is_last].max()
    if times.is_datetime:
        # A midnight may count at the end of its day, so later than events with a later time.
        latest = look_back(np.array([latest]), np.timedelta64(2, "D"), "left")[0]
    return clock.of_events(np.flatnonzero(is_last & (times.values >= latest))).max()


def _end_by_patient(observation_end, clock, patient):
    table = clock.table
    observation_end = readable(observation_end)
    patients = read_patients(observation_end, table, "observation_end")
    if patients.duplicated().any():
        raise ValueError(
            "observation_end must have one time per patient. Its index must hold each patient id "
            "once."
        )
    position = match_with_events(patients, table, "observation_end")
    row = np.full(len(table.patients), -1)
    is_known = position < len(table.patients)
    row[position[is_known]] = np.flatnonzero(is_known)
    wanted, sample = np.unique(patient, return_inverse=True)
    row = row[wanted]
    if n_missing := np.count_nonzero(row < 0):
        raise ValueError(
            f"observation_end has no entry for {n_missing} of {len(wanted)} patients with samples. "
            f"Its index must hold their ids."
        )
    ends = read_times(observation_end.iloc[row].reset_index(drop=True), "observation_end")
    check_comparable(table.times_of(slice(0)), ends)
    if n_null := np.count_nonzero(ends.is_null):
        raise ValueError(f"observation_end has {n_null} null time(s). Give every patient one.")
    return clock.of_ends(ends)[sample]
