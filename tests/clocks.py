"""Clocks of zones in plain Python, found by looking at every minute."""

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

import pandas as pd

MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
# The clocks change within two days after each start: over midnight, at midnight, or by a whole day.
ZONES = {
    None: dt.datetime(2020, 3, 28),
    "UTC": dt.datetime(2020, 3, 28),
    "Europe/Berlin": dt.datetime(2020, 3, 28),
    "America/Havana": dt.datetime(2020, 10, 31),
    "America/Sao_Paulo": dt.datetime(2018, 11, 3),
    "America/St_Johns": dt.datetime(2010, 11, 6),
    "Pacific/Apia": dt.datetime(2011, 12, 29),
}
N_MINUTES = 4 * 24 * 60


@lru_cache
def minutes_of(zone, start):
    """UTC and local time, both naive, of each minute around the start."""
    utc = [start + (i - 2 * 24 * 60) * MINUTE for i in range(N_MINUTES + 5 * 24 * 60)]
    if zone is None:
        return [(time, time) for time in utc]
    local = [time.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)) for time in utc]
    return list(zip(utc, [time.replace(tzinfo=None) for time in local], strict=True))


@lru_cache
def midnights_of(zone, start):
    """First and last moment that is the midnight of each date, or else the date's first moment."""
    shown, first_of = {}, {}
    for utc, local in minutes_of(zone, start):
        first_of.setdefault(local.date(), utc)
        if local.time() == dt.time(0):
            shown.setdefault(local.date(), []).append(utc)
    ends = {}
    for date in pd.date_range(min(first_of), max(first_of)).date:
        following = first_of[min(d for d in first_of if d >= date)]
        ends[date] = (
            (min(shown[date]), max(shown[date])) if date in shown else (following, following)
        )
    return ends


class Clock:
    """What a zone says of moments in naive UTC, found by looking."""

    def __init__(self, zone, start):
        self.local = dict(minutes_of(zone, start))
        self.midnights = midnights_of(zone, start)

    def date(self, moment):
        return self.local[moment.replace(second=0, microsecond=0)].date()

    def day(self, moment):
        """Date whose first midnight came last."""
        return max(date for date, (first, _) in self.midnights.items() if first <= moment)

    def known_from(self, moment):
        date = self.date(moment)
        at_midnight = self.local.get(moment) == dt.datetime.combine(date, dt.time(0))
        if at_midnight or self.midnights[date][0] == moment:
            return self.midnights[date + DAY][1]
        return moment
