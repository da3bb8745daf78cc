"""Times of events and samples as they compare under a resolution, and lengths between them."""

from dataclasses import dataclass, replace
from numbers import Number

import numpy as np
import pandas as pd

from ..cohort import (
    EventTable,
    Times,
    add_duration,
    as_duration,
    as_keys,
    convert,
    day_of,
    known_from,
    last_key_by,
    midnights,
)


@dataclass(frozen=True)
class Clock:
    """Times of a table under a resolution.

    Under "day" every method returns naive midnights, one for each calendar day; else datetimes in
    UTC, or numbers.

    Attributes
    ----------
    table : EventTable
    resolution : {"day", "instant"} or None
    """

    table: EventTable
    resolution: str | None

    def of_events(self, event):
        """When the events of this index count, none of them static."""
        return self._of_known(self.table.times_of(event))

    def of_moments(self, times):
        """Moments that count as they stand, such as given prediction times."""
        return self._days(times.values) if self.resolution == "day" else times.values

    def of_ends(self, times):
        """Ends of observation: a date ends with its day."""
        if self.resolution == "day":
            return self._days(times.values)
        return self._of_known(replace(times, zone=self.table.zone))

    def whole_days(self, values):
        """Times of this clock; under "day" the days they are on, or the next one that exists."""
        if self.resolution != "day":
            return values
        # A zone may leave out a day, as Samoa did in December 2011.
        return self._days(midnights(values.astype("datetime64[D]"), self.table.zone)[0])

    def as_times(self, values):
        """Times of this clock as moments: local midnights under "day"."""
        if self.resolution == "day":
            first = midnights(values.astype("datetime64[D]"), self.table.zone)[0]
            values = convert(Times(first, "prediction_time"), self.table.time.dtype).values
        return Times(values, "prediction_time", self.table.zone)

    def _of_known(self, times):
        known = known_from(times, self.resolution).values
        return self._days(known) if self.resolution == "day" else known

    def _days(self, values):
        return day_of(values, self.table.zone).astype("datetime64[s]")


def is_by(times, moments):
    """Whether each time lies at or before its moment, exactly, whatever the units."""
    return as_keys(times) <= last_key_by(moments, times.dtype, "right")


def later(values, length, name):
    """Times later by a length as of `read_length`, in a unit fine enough for both."""
    if length is None:
        return values
    if values.dtype.kind == "M":
        finer = np.result_type(values.dtype, length.dtype)
        values = convert(Times(values, "prediction_time"), finer).values
    return add_duration(values, length, name)


def elapsed(start, end):
    """Time from starts to ends as floats: days between datetimes, else a difference of numbers."""
    if start.dtype.kind != "M":
        return (end - start).astype(np.float64)
    finer = np.promote_types(start.dtype, end.dtype)
    start, end = (
        convert(Times(values, "prediction_time"), finer).values for values in (start, end)
    )
    return (end - start) / np.timedelta64(1, "D")


def read_length(length, name, is_datetime):
    """A length of time as of `as_duration`, or None where it is None or zero."""
    return None if _is_zero(length) else as_duration(length, name, is_datetime)


def _is_zero(length):
    if length is None:
        return True
    if isinstance(length, Number) and not isinstance(length, np.timedelta64):
        return length == 0
    try:
        return pd.Timedelta(length) == pd.Timedelta(0)
    except (TypeError, ValueError):
        return False
