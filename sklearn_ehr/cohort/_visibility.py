"""The rule of what is known when.

An event is known at its known time, or else at its time. Under the resolution "day" events and
predictions compare as calendar days; under "instant" they compare as moments, and an event at
exactly midnight is known when its day has ended. Days are those of the events' zone.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..utils import search_ranges
from ._days import day_of, end_of_day, is_midnight, midnights
from ._durations import finer_unit, look_back
from ._times import as_keys, check_comparable, convert, last_key_by, nanoseconds_a_step

RESOLUTIONS = ("auto", "day", "instant")
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Cut:
    """Times that are known by a moment, one moment for each sample.

    Attributes
    ----------
    last : ndarray of shape (n_samples,)
        Highest key of a time that lies before the moment, or at it.
    unended : tuple of ndarrays of shape (n_samples,)
        Keys of midnights before the moment whose days had not ended by then.
    """

    last: np.ndarray
    unended: tuple

    def has(self, keys, sample):
        """Whether times are known by the moments of their samples.

        Parameters
        ----------
        keys : ndarray of shape (n,)
            Keys of the times, as of `as_keys`.
        sample : ndarray of int or slice
            Sample of each.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        is_known = keys <= self.last[sample]
        for midnight in self.unended:
            is_known &= keys != midnight[sample]
        return is_known

    def take(self, samples):
        """The cut of the samples at these positions."""
        return Cut(self.last[samples], tuple(keys[samples] for keys in self.unended))

    def ranges(self, keys, starts, stops):
        """Ranges of sorted keys that are known: pairs of starts and stops, in ascending order."""
        end = search_ranges(keys, starts, stops, self.last, "right")
        ranges = []
        for midnight in self.unended:
            low = search_ranges(keys, starts, end, midnight, "left")
            ranges.append((starts, low))
            starts = low.copy()
            found = np.flatnonzero(low < end)
            found = found[keys[low[found]] == midnight[found]]
            starts[found] = search_ranges(keys, low[found], end[found], midnight[found], "right")
        return [*ranges, (starts, end)]

    def ranges_beyond(self, keys, starts, stops):
        """Ranges of sorted keys that are not known yet, as of `ranges`."""
        known = self.ranges(keys, starts, stops)
        gaps = [(stop, start) for (_, stop), (start, _) in pairwise(known)]
        return [*gaps, (known[-1][1], stops)]


def choose_resolution(resolution, table, moments):
    """Resolution under which a cohort or samples are made.

    Parameters
    ----------
    resolution : {"auto", "day", "instant"}
    table : EventTable
    moments : Times or None
        Prediction times; None for whole histories.

    Returns
    -------
    "day", "instant" or None
        None for numeric times and whole histories.
    """
    check_resolution(resolution)
    if table.time is None or moments is None:
        return None
    known = table.known_times_of(slice(0))
    check_comparable(known, moments)
    if not known.is_datetime:
        if resolution == "day":
            raise ValueError(
                "resolution='day' needs datetimes, and the event times are numbers. Leave "
                "resolution='auto', or convert the times with pandas.to_datetime."
            )
        return None
    if resolution != "auto":
        return resolution
    # A midnight elsewhere falls into the middle of an event's day.
    are_days = table.has_midnights_only and is_midnight(moments.values, known.zone).all()
    return "day" if are_days else "instant"


def check_resolution(resolution):
    """Raise unless a resolution is one of those there are."""
    if not isinstance(resolution, str) or resolution not in RESOLUTIONS:
        raise ValueError(f"resolution={resolution!r} is not accepted; choose one of {RESOLUTIONS}.")


def known_from(times, resolution):
    """From when times count as known, under a resolution.

    Parameters
    ----------
    times : Times
        Without nulls.
    resolution : {"day", "instant"} or None

    Returns
    -------
    Times
        Under "day" the first instant of each day; under "instant" the end of the day of a midnight.
    """
    if resolution is None or not len(times.values):
        return times
    if resolution == "day":
        values, which = midnights(day_of(times.values, times.zone), times.zone)[0], slice(None)
    else:
        which = is_midnight(times.values, times.zone)
        values = end_of_day(times.values[which], times.zone)
    moved = times.values.copy()
    moved[which] = convert(replace(times, values=values), moved.dtype).values
    return replace(times, values=moved)


def cut_at(moments, times, resolution, closed):
    """What is known by moments, of a column of times.

    Parameters
    ----------
    moments : Times
        One a sample, without nulls.
    times : Times
        The column, of which unit and zone matter here.
    resolution : {"day", "instant"} or None
    closed : {"right", "left"}
        Whether what is known from exactly a moment on counts ("right") or not ("left").

    Returns
    -------
    Cut
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
    """Ranges of the events that samples see, each sample's in ascending order.

    Where known times decide, they hold the candidates, among which `Cut.has` finds the known ones.

    Parameters
    ----------
    table : EventTable
    patient : ndarray of int, shape (n_samples,)
        Position of each sample's patient; beyond the table's for one without events.
    moments : Times or None
        Prediction times; None for whole histories.
    resolution : {"day", "instant"} or None
    closed : {"right", "left"}
    lookback : timedelta64, number or None

    Returns
    -------
    ndarray of int64, shape (n_samples, n_ranges, 2)
    """
    first, dated, last = table.bounds_of(patient)
    ranges = [(dated, last)]
    keys = None if table.time is None else as_keys(table.time)
    if moments is not None:
        ranges = _ranges_by(table, keys, (dated, last), moments, resolution, closed, lookback)
    if lookback is not None:
        end = moments
        if end is None:
            # Patients without dated events have nothing to look back from, nor to leave out.
            end = table.times_of(np.maximum(last - 1, 0))
        cut = cut_lookback(end, lookback, table.times_of(slice(0)), resolution, closed)
        ranges = _intersect(ranges, cut.ranges_beyond(keys, dated, last))
    ranges = np.stack([np.stack(ends, axis=1) for ends in [(first, dated), *ranges]], axis=1)
    is_empty = (ranges[..., 0] == ranges[..., 1]).all(axis=0)
    is_empty[0] = False
    return ranges[:, ~is_empty]


def count_known(table, patient, cut):
    """How many events of each patient were known by the moments of a cut of known times."""
    first, dated, last = table.bounds_of(patient)
    keys = as_keys(table.known_ascending)
    known = cut.ranges(keys, dated, last)
    return dated - first + sum(stop - start for start, stop in known)


def _ranges_by(table, keys, bounds, moments, resolution, closed, lookback):
    """Ranges of events that moments leave, between bounds; candidates if known times decide."""
    if table.known_time is None:
        return cut_at(moments, table.times_of(slice(0)), resolution, closed).ranges(keys, *bounds)
    if lookback is None and table.may_be_known_early:
        return [bounds]
    # None is known before its time, which therefore lies before the moment too.
    times = replace(table.times_of(slice(0)), zone=table.known_zone)
    last = cut_at(moments, times, resolution, closed).last
    return [(bounds[0], search_ranges(keys, *bounds, last, "right"))]


def _intersect(ranges, others):
    """Ranges that two ascending lists of ranges share, ascending."""
    shared = []
    for start, stop in others:
        for first, last in ranges:
            low = np.maximum(start, first)
            shared.append((low, np.maximum(low, np.minimum(stop, last))))
    return shared


def cut_lookback(moments, length, times, resolution, closed):
    """What of a column of times was known a length of time before moments, as of `cut_at`."""
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
    # Days after the start, or those from it on where it is a midnight.
    is_after = closed == "right" or day < starts
    day = np.where(is_after, day + _DAY, day)
    first = midnights(day, times.zone)[0]
    return Cut(last_key_by(first, times.values.dtype, "left"), ())


def _cut_where_possible(moments, times, resolution, closed):
    """As `cut_at`; nothing was known by moments too early for a calendar."""
    if not moments.is_datetime:
        return cut_at(moments, times, resolution, closed)
    keys, step = as_keys(moments.values), nanoseconds_a_step(moments.values.dtype)
    two_days = 2 * 86_400 * 10**9 // step
    first = max(np.iinfo(np.int64).min + two_days, -719_160 * two_days // 2)
    is_early = keys < first
    values = np.maximum(keys, first).view(moments.values.dtype)
    cut = cut_at(replace(moments, values=values), times, resolution, closed)
    lowest = np.iinfo(np.int64).min
    return Cut(
        np.where(is_early, lowest, cut.last),
        tuple(np.where(is_early, lowest, midnight) for midnight in cut.unended),
    )


def _unended_midnights(moments, last, dtype, zone, closed):
    """Keys of the midnights by each moment whose days had not ended by then, at most two."""
    if zone is None:
        # The last instant that counts as past lies in the day that has not ended.
        limit = moments if closed == "right" else moments - np.timedelta64(1)
        return (last_key_by(limit.astype("datetime64[D]"), dtype, "right"),)
    day = day_of(moments, zone)[:, None] + np.array([-1, 0, 1]) * _DAY
    first, second = midnights(day, zone)
    end = midnights(day + _DAY, zone)[1]
    candidates, ends = np.hstack([first, second]), np.hstack([end, end])
    has_ended = ends <= moments[:, None] if closed == "right" else ends < moments[:, None]
    keys = last_key_by(candidates.ravel(), dtype, "right").reshape(candidates.shape)
    is_unended = ~has_ended & (keys <= last[:, None])
    # None at all, where the moment is a midnight that does not count, is marked by the lowest key.
    earliest = np.where(is_unended, keys, np.iinfo(np.int64).max).min(axis=1)
    latest = np.where(is_unended, keys, np.iinfo(np.int64).min).max(axis=1)
    return np.minimum(earliest, latest), latest
