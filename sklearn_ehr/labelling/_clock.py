"""Times under a resolution, and arithmetic with durations."""

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
    """Times of a table under a resolution, "day", "instant" or None.

    Under "day", every method returns naive midnights, one per calendar day; otherwise datetimes in
    UTC, or numbers.
    """

    table: EventTable
    resolution: str | None

    def of_events(self, event):
        """Times from which events at these positions count; none may be static."""
        return self._of_known(self.table.times_of(event))

    def of_facts(self, event):
        """Times from which events count as outcomes and the like: when a `Cohort` may show them.

        An event counts at its time, or when it was known, if that was earlier.
        """
        own = self.of_events(event)
        if self.table.known_time is None:
            return own
        times = self.table.known_times_of(event)
        known = known_from(times, self.resolution).values
        if self.resolution == "day":
            known = day_of(known, times.zone).astype("datetime64[s]")
        is_earlier = as_keys(known) <= last_key_by(own, known.dtype, "left")
        known = last_key_by(known, own.dtype, "right").view(own.dtype)
        return np.where(is_earlier, known, own)

    def of_moments(self, times):
        """Times that count unchanged, such as given prediction times."""
        return self._days(times.values) if self.resolution == "day" else times.values

    def of_ends(self, times):
        """Ends of observation; a date lasts until its day ends."""
        if self.resolution == "day":
            return self._days(times.values)
        return self._of_known(replace(times, zone=self.table.zone))

    def whole_days(self, values):
        """Times of this clock, rounded under "day" to the start of a day that exists."""
        if self.resolution != "day":
            return values
        # A zone may skip a day, as that of Samoa did in December 2011.
        return self._days(self._starts_of_days(values))

    def as_times(self, values):
        """Convert times of this clock to `Times`; days become local midnights."""
        if self.resolution == "day":
            starts = Times(self._starts_of_days(values), "prediction_time")
            values = convert(starts, self.table.time.dtype).values
        return Times(values, "prediction_time", self.table.zone)

    def _of_known(self, times):
        known = known_from(times, self.resolution).values
        return self._days(known) if self.resolution == "day" else known

    def _starts_of_days(self, days):
        return midnights(days.astype("datetime64[D]"), self.table.zone)[0]

    def _days(self, values):
        return day_of(values, self.table.zone).astype("datetime64[s]")


def is_by(times, moments):
    """Whether each time is at or before its moment; exact for any two units."""
    return as_keys(times) <= last_key_by(moments, times.dtype, "right")


def later(values, length, name):
    """Add a duration, as returned by `read_length`, to times, in a unit fine enough for both."""
    if length is None:
        return values
    if values.dtype.kind == "M":
        finer = np.result_type(values.dtype, length.dtype)
        values = convert(Times(values, "prediction_time"), finer).values
    return add_duration(values, length, name)


def read_length(length, name, is_datetime):
    """Parse a duration; None if it is None or zero."""
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
