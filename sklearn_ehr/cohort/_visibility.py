"""The rule of visibility: which events are known at a prediction time.

An event is known from its known time on, or from its time on if it has no known time. Under the
resolution "day", events and predictions are compared by calendar day. Under "instant", they are
compared to the instant, and an event at exactly midnight is known once its day has ended. Calendar
days are those in the time zone of the column of events.
"""

import warnings
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..utils import search_ranges, shown
from ._days import day_of, end_of_day, is_midnight, midnights
from ._durations import finer_unit, look_back
from ._times import as_keys, check_comparable, convert, last_key_by

_UTC = ("Etc/UTC", "UTC+00:00", "GMT", "Etc/GMT", "Zulu")
RESOLUTIONS = ("auto", "day", "instant")
# Attribute of a frame of samples that were drawn under a resolution.
RESOLUTION_KEY = "sklearn_ehr_resolution"
_DAY = np.timedelta64(1, "D")
_FIRST_DAY = np.datetime64("0001-01-03", "s")


@dataclass(frozen=True)
class Cut:
    """Cutoff between times that are known at a moment and those that are not, for each sample.

    `last` is the key of the last time that is known. `unended` holds arrays of keys of earlier
    midnights that are not known yet, as their days have not ended.
    """

    last: np.ndarray
    unended: tuple

    def has(self, keys, sample):
        """Whether times, given as keys, are known at the moments of the samples they belong to."""
        is_known = keys <= self.last[sample]
        for midnight in self.unended:
            is_known &= keys != midnight[sample]
        return is_known

    def take(self, samples):
        """Select samples by position."""
        return Cut(self.last[samples], tuple(keys[samples] for keys in self.unended))

    def ranges(self, keys, starts, stops):
        """Ranges of times that are known, as pairs of starts and stops, in ascending order.

        The times of a sample lie between its start and its stop in `keys`, and ascend there.
        """
        end = search_ranges(keys, starts, stops, self.last, "right")
        ranges = []
        for midnight in self.unended:
            low, high = end.copy(), end.copy()
            # Few samples have an event between the midnight and the moment.
            near = np.flatnonzero(starts < end)
            near = near[keys[end[near] - 1] >= midnight[near]]
            bounds = keys, starts[near], end[near], midnight[near]
            low[near], high[near] = search_ranges(*bounds, "left"), search_ranges(*bounds, "right")
            ranges.append((starts, low))
            starts = high
        return [*ranges, (starts, end)]

    def ranges_beyond(self, keys, starts, stops):
        """Ranges of times that are not known yet, in the form of `ranges`."""
        known = self.ranges(keys, starts, stops)
        gaps = [(stop, start) for (_, stop), (start, _) in pairwise(known)]
        return [*gaps, (known[-1][1], stops)]


def choose_resolution(resolution, table, moments, drawn_under=None):
    """Resolution under which events and predictions are compared, "day" or "instant".

    It is None for numeric times, and for whole histories, where `moments` is None. `drawn_under` is
    the resolution under which `make_samples` drew the samples, and `resolution` must not be
    another.
    """
    check_resolution(resolution)
    if table.time is None or moments is None:
        return None
    known = table.known_times_of(slice(0))
    check_comparable(known, moments)
    _warn_of_other_zone(moments.zone, known.zone)
    if not known.is_datetime:
        if resolution == "day":
            raise ValueError(
                "resolution='day' needs datetimes, but the event times are numbers. Use "
                "resolution='auto', or convert the times with pandas.to_datetime."
            )
        return None
    if drawn_under in ("day", "instant"):
        if resolution not in ("auto", drawn_under):
            raise ValueError(
                f"resolution={resolution!r}, but make_samples drew these samples under "
                f"{drawn_under!r}, so that a sample could see its own outcome. Draw them with "
                f"resolution={resolution!r}, or leave resolution='auto'."
            )
        return drawn_under
    if resolution != "auto":
        return resolution
    # A midnight in another zone would fall into the middle of a day of the events.
    are_days = table.has_midnights_only and is_midnight(moments.values, known.zone).all()
    return "day" if are_days else "instant"


def _warn_of_other_zone(zone, events_zone):
    """Warn if aware prediction or index times are of another time zone than the events."""
    if None in (zone, events_zone):
        return
    zones = [str(events_zone), str(zone)]
    if len({"UTC" if name in _UTC else name for name in zones}) > 1:
        warnings.warn(
            f"The events are of the time zone {zones[0]}, and prediction or index times of "
            f"{zones[1]}. Calendar days and midnights are those of the events, so a date of "
            f"another zone is not taken for one. If that is not meant, convert the events first; "
            f"an engine may give all times the zone of its session, such as DuckDB's SET "
            f"TimeZone.",
            UserWarning,
            stacklevel=4,
        )


def check_resolution(resolution):
    """Raise unless a resolution is one of `RESOLUTIONS`."""
    if not isinstance(resolution, str) or resolution not in RESOLUTIONS:
        raise ValueError(
            f"resolution={shown(resolution)} is not accepted; choose one of {RESOLUTIONS}."
        )


def known_from(times, resolution):
    """Times from which events count as known; results that their dtype cannot hold are refused.

    `times` are known times of the events, or their times if they have no known times. Under "day",
    events count from the first instant of the day. Under "instant", a midnight counts from the end
    of its day, and other times are unchanged. With None, all are unchanged.
    """
    if resolution is None or not len(times.values):
        return times
    if resolution == "day":
        values, which = _day_starts(times), slice(None)
    else:
        which = is_midnight(times.values, times.zone)
        values = end_of_day(times.values[which], times.zone)
    moved = times.values.copy()
    moved[which] = convert(replace(times, values=values), moved.dtype).values
    return replace(times, values=moved)


def _day_starts(times):
    """First instant of the day of each time; of two days that overlap the later, as in `cut_at`."""
    day = day_of(times.values, times.zone)
    following = midnights(day + _DAY, times.zone)[0]
    # Where clocks are set back over midnight, the next day may have begun before.
    has_begun = as_keys(times.values) > last_key_by(following, times.values.dtype, "left")
    return midnights(np.where(has_begun, day + _DAY, day), times.zone)[0]


def cut_at(moments, times, resolution, closed):
    """Cutoff between times that are known at a moment and those that are not.

    There is one moment per sample, none of them null. Only the dtype and the zone of `times` are
    used. A time that is known from exactly the moment on is included if `closed` is "right".
    """
    check_comparable(times, moments)
    dtype, zone = times.values.dtype, times.zone
    if resolution == "day":
        day = day_of(moments.values, zone)
        ends = midnights(day + _DAY if closed == "right" else day, zone)[0]
        return Cut(last_key_by(ends, dtype, "left"), ())
    cut = Cut(last_key_by(moments.values, dtype, closed), ())
    if resolution is None:
        return cut
    return replace(cut, unended=_unended_midnights(moments.values, cut.last, dtype, zone, closed))


def visible_ranges(table, patient, moments, resolution, closed, lookback):
    """Ranges of the events that each sample sees, ascending: int64 of (n_samples, n_ranges, 2).

    `patient` has positions in the table, beyond its end for a patient without events, and `moments`
    is None for whole histories. If the table has known times, the ranges may also hold events that
    are not known yet; `Cut.has` tells which ones are known.
    """
    first, dated, last = table.bounds_of(patient)
    ranges = [(dated, last)]
    keys = None if table.time is None else as_keys(table.time)
    if moments is not None:
        ranges = _ranges_by(table, keys, (dated, last), moments, resolution, closed, lookback)
    if lookback is not None:
        end = moments
        if end is None:
            # For patients without dated events any end will do, as they have nothing to leave out.
            end = table.last_times_of(patient)
        cut = cut_lookback(end, lookback, table.times_of(slice(0)), resolution, closed)
        ranges = _intersect(ranges, cut.ranges_beyond(keys, dated, last))
    ranges = np.stack([np.stack(ends, axis=1) for ends in [(first, dated), *ranges]], axis=1)
    is_empty = (ranges[..., 0] == ranges[..., 1]).all(axis=0)
    is_empty[0] = False
    return ranges[:, ~is_empty]


def count_known(table, patient, cut):
    """Number of events of each sample's patient that are known, by a cut of known times."""
    first, dated, last = table.bounds_of(patient)
    keys = as_keys(table.known_ascending)
    known = cut.ranges(keys, dated, last)
    return dated - first + sum(stop - start for start, stop in known)


def _ranges_by(table, keys, bounds, moments, resolution, closed, lookback):
    """Ranges, between bounds, of the dated events that may be known at the moments."""
    if table.known_time is None:
        return cut_at(moments, table.times_of(slice(0)), resolution, closed).ranges(keys, *bounds)
    if lookback is None and table.may_be_known_early:
        return [bounds]
    # Either no event is known before its time, or a lookback leaves out such events. So the events
    # to look at have times up to the moment.
    times = replace(table.times_of(slice(0)), zone=table.known_zone)
    last = cut_at(moments, times, resolution, closed).last
    return [(bounds[0], search_ranges(keys, *bounds, last, "right"))]


def _intersect(ranges, others):
    """Intersections of two ascending lists of ranges, ascending."""
    shared = []
    for start, stop in others:
        for first, last in ranges:
            low = np.maximum(start, first)
            shared.append((low, np.maximum(low, np.minimum(stop, last))))
    return shared


def cut_lookback(moments, length, times, resolution, closed):
    """Find the cutoff, as `cut_at` does, a length of time before the moments."""
    values = moments.values
    if resolution == "day":
        values = day_of(values, times.zone).astype("datetime64[s]")
    if values.dtype.kind == "M":
        unit = finer_unit(values.dtype, length)
        values = convert(replace(moments, values=values), unit).values
    starts = look_back(values, length, closed)
    if resolution != "day":
        return _cut_where_possible(replace(moments, values=starts), times, resolution, closed)
    day = starts.astype("datetime64[D]")
    # The window holds the days that begin after its start or, if closed is "left", exactly at it.
    is_after = closed == "right" or day < starts
    day = np.where(is_after, day + _DAY, day)
    first = midnights(day, times.zone)[0]
    return Cut(last_key_by(first, times.values.dtype, "left"), ())


def _cut_where_possible(moments, times, resolution, closed):
    """Find the cutoff as `cut_at` does; nothing is known before the calendar begins."""
    if not moments.is_datetime:
        return cut_at(moments, times, resolution, closed)
    keys, dtype = as_keys(moments.values), moments.values.dtype
    lowest = np.iinfo(np.int64).min
    # Two days above the lowest time, as days are looked at before and after a moment.
    two_days = as_keys((np.datetime64(0, "D") + 2 * _DAY).astype(dtype))
    first = max(lowest + two_days, last_key_by(np.array([_FIRST_DAY]), dtype, "right")[0])
    is_early = keys < first
    values = np.maximum(keys, first).view(moments.values.dtype)
    cut = cut_at(replace(moments, values=values), times, resolution, closed)
    return Cut(
        np.where(is_early, lowest, cut.last),
        tuple(np.where(is_early, lowest, midnight) for midnight in cut.unended),
    )


def _unended_midnights(moments, last, dtype, zone, closed):
    """Keys of the midnights up to each moment whose days have not ended, at most two."""
    if zone is None:
        # The last instant that is known lies in the day that has not ended.
        limit = moments if closed == "right" else moments - np.timedelta64(1)
        return (last_key_by(limit.astype("datetime64[D]"), dtype, "right"),)
    # Two days back, as a zone may have left out the day before.
    day = day_of(moments, zone)[:, None] + np.array([-2, -1, 0, 1]) * _DAY
    first, second = midnights(day, zone)
    end = midnights(day + _DAY, zone)[1]
    candidates, ends = np.hstack([first, second]), np.hstack([end, end])
    has_ended = ends <= moments[:, None] if closed == "right" else ends < moments[:, None]
    keys = last_key_by(candidates.ravel(), dtype, "right").reshape(candidates.shape)
    is_unended = ~has_ended & (keys <= last[:, None])
    # If there is none, the lowest key, which no time has, stands for it.
    earliest = np.where(is_unended, keys, np.iinfo(np.int64).max).min(axis=1)
    latest = np.where(is_unended, keys, np.iinfo(np.int64).min).max(axis=1)
    return np.minimum(earliest, latest), latest
