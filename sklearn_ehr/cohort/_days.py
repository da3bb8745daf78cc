"""Calendar days and midnights of datetimes, in the time zone of their column."""

from datetime import timedelta, timezone

import numpy as np
import pandas as pd

_DAY = np.timedelta64(1, "D")


def to_local(values, zone):
    """Convert UTC datetimes to naive local ones; without a zone they stay as they are."""
    if zone is None:
        return values
    try:
        index = pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(zone)
        local = index.tz_localize(None).to_numpy()
        if _has_wrapped(values, local):
            raise OverflowError
        return local
    except (pd.errors.OutOfBoundsDatetime, NotImplementedError, OverflowError):
        raise ValueError(
            f"Times near the end of the range of {values.dtype}, or after the year 9999, have no "
            f"local time in the zone {zone}. Convert the column with .dt.as_unit('us'), or leave "
            f"out such times."
        ) from None


def _has_wrapped(values, local):
    """Whether local times are at the other end of the range, where pandas < 3 puts them."""
    values, local = values.view(np.int64), local.view(np.int64)
    return bool(((values ^ local < 0) & (np.abs(values) > 2**62)).any())


def day_of(values, zone):
    """Calendar day of each datetime, datetime64[D]."""
    return to_local(values, zone).astype("datetime64[D]")


def midnights(days, zone):
    """First and last instant, in UTC, at which local clocks show the midnight of each day.

    Both are datetime64[s] of the shape of `days`; `zone` is None for naive datetimes. They differ
    on a day when clocks are set back across midnight. On a day when they are set forward across
    midnight, both are the first instant of the day.
    """
    naive = days.astype("datetime64[s]")
    if zone is None:
        return naive, naive
    distinct, position = np.unique(naive, return_inverse=True)
    ends = [_localise(distinct, zone, is_first) for is_first in (True, False)]
    return tuple(
        end[position].reshape(days.shape) for end in (np.minimum(*ends), np.maximum(*ends))
    )


def _localise(midnights, zone, is_first):
    """Convert local midnights to UTC: the first or the last instant if there are two."""
    try:
        index = pd.DatetimeIndex(midnights).tz_localize(
            zone, ambiguous=np.full(len(midnights), is_first), nonexistent="shift_forward"
        )
    except (ValueError, NotImplementedError, OverflowError):
        raise ValueError(
            f"Times near the year 9999 have no next midnight in the zone {zone}. Leave out such "
            f"times, or make the columns of times naive."
        ) from None
    moments = index.tz_convert("UTC").tz_localize(None).as_unit("s").to_numpy().copy()
    shift = (index.tz_localize(None).to_numpy() - midnights).astype(np.int64)
    is_shifted = (shift != 0) & ~np.isnat(midnights)
    if is_shifted.any():
        # If a whole day was skipped, as in Samoa in December 2011, pandas shifts too far, or
        # (before 3) into the day before.
        following = _localise(midnights[is_shifted] + _DAY, zone, is_first)
        shifted = np.where(shift[is_shifted] > 0, moments[is_shifted], following)
        moments[is_shifted] = np.minimum(shifted, following)
    return moments


def is_midnight(values, zone):
    """True for each midnight, and for the first instant of a day without a midnight."""
    local = to_local(values, zone)
    day = local.astype("datetime64[D]")
    is_midnight = local == day
    if zone is not None and not is_midnight.all():
        is_midnight |= values == midnights(day, zone)[0]
    return is_midnight


def end_of_day(values, zone):
    """Midnight at the end of the day of each datetime, the later one if there are two."""
    return midnights(day_of(values, zone) + _DAY, zone)[1]


def text_of_zone(zone):
    """A time zone as text: its name, or the seconds that it is ahead of UTC; None as it is."""
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if name is None and (offset := zone.utcoffset(None)) is not None:
        name = f"{offset.total_seconds():+} s"
    if name is None:
        raise TypeError(
            f"A store on disk holds times of a zone with a name, or with a fixed offset, and these "
            f"are of a {type(zone).__name__}. Convert them, such as with .dt.tz_convert('UTC')."
        )
    return name


def zone_of_text(text):
    """The time zone that `text_of_zone` has written."""
    if text is None:
        return None
    if text.endswith(" s"):
        return timezone(timedelta(seconds=float(text.removesuffix(" s"))))
    return pd.DatetimeTZDtype("us", text).tz
