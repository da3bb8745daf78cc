"""Durations: parsing, addition to and subtraction from times, and the time between two."""

import re

import numpy as np
import pandas as pd

from ..utils import shown
from ._times import MAX_EXACT, Times, convert, nanoseconds_a_step, warn_if_far_ahead

_LOWEST = np.uint64(2**63)
_NANOSECONDS_PER_DAY = 86_400 * 10**9


def as_duration(length, name, is_datetime):
    """Parse a duration that is a parameter, and refuse one that is not finite and positive.

    For datetimes, it becomes a timedelta64 in seconds, or in the coarsest finer unit that is exact.
    For numeric times, it must be a number and stays one.
    """
    if is_datetime:
        duration = _parse_duration(length)
        if duration is None:
            raise TypeError(
                f"{name}={shown(length)} is not a duration, but the times are datetimes. Give a "
                f"duration such as pandas.Timedelta('365D')."
            )
        valid = duration > np.timedelta64(0)
    else:
        duration = length
        if not _is_number(length) or isinstance(length, bool | str):
            raise TypeError(
                f"{name}={shown(length)} is not a number, but the times are numbers. Give a number "
                f"in the unit of the times."
            )
        # Python's numbers never wrap around.
        duration = length = length.item() if isinstance(length, np.generic) else length
        valid = 0 < length < np.inf
    if not valid:
        raise ValueError(f"{name}={shown(length)} must be finite and longer than zero.")
    return duration


def read_lookback(lookback, table, moments):
    """Check a lookback against the event times; warn if it starts from times far ahead."""
    if lookback is None:
        return None
    if table.time is None:
        raise ValueError(
            "lookback needs event times, but events has no time column. Name it with time=."
        )
    lookback = as_duration(lookback, "lookback", table.time.dtype.kind == "M")
    if moments is None:
        warn_if_far_ahead(
            table.times_of(slice(None)),
            "Without prediction times, the lookback is counted from the last event of each "
            "patient. Drop these events, or set their time to null.",
        )
    return lookback


def add_duration(values, length, name):
    """Add a duration, as returned by `as_duration`, to times.

    Results that the dtype of the times cannot hold are refused.
    """
    n_steps = length
    beyond = ValueError(
        f"{name}={length!r} reaches beyond the range of {values.dtype}. Choose a shorter one, or "
        f"convert the times with .dt.as_unit('us')."
    )
    if values.dtype.kind == "M":
        try:
            values = convert(Times(values, name), finer_unit(values.dtype, length)).values
        except ValueError:
            raise beyond from None
        n_steps = -(-_nanoseconds(length) // nanoseconds_a_step(values.dtype))
    # numpy would wrap around beyond int64, to times in the distant past.
    if values.dtype.kind != "f" and int(values.view(np.int64).max(initial=0)) + n_steps >= 2**63:
        raise beyond
    is_rounded = values.dtype.kind == "i" and isinstance(length, float)
    if is_rounded and np.abs(values).max(initial=0) + length > MAX_EXACT:
        raise ValueError(
            f"{name}={length!r} is added to integer times beyond 2**53, which floats would round. "
            f"Give it as an integer, or the times in a coarser unit."
        )
    return values + length


def finer_unit(dtype, length):
    """The datetime64 of the finer unit of a datetime64 and a timedelta64."""
    return np.promote_types(dtype, np.dtype(length.dtype.str.replace("m8", "M8")))


def look_back(end, length, closed):
    """Start of the window of this length before each end, in the unit of the ends.

    A start is rounded so that the same times lie in the window as if it were exact: those after the
    start if `closed` is "right", those at or after it if "left". Where a start would be too early
    for the dtype, it is the earliest time that this can hold.
    """
    if end.dtype.kind == "f":
        return end - length
    step = 1
    if end.dtype.kind == "M":
        length, step = _nanoseconds(length), nanoseconds_a_step(end.dtype)
    n_steps = int(length // step if closed == "left" else -(-length // step))
    n_steps = np.uint64(min(n_steps, np.iinfo(np.uint64).max))
    # Counting from the lowest integer, which is NaT, shows which starts are out of range.
    n_before = end.view(np.uint64) ^ _LOWEST
    start = np.where(n_before > n_steps, n_before - n_steps, np.uint64(1))
    return (start ^ _LOWEST).view(end.dtype)


def elapsed(start, end):
    """Time from `start` to `end`, in days between datetimes, otherwise in the unit of the numbers.

    It is a float, 0 if `end` is before `start` or if either is null. Each is computed from its pair
    of times alone, and none wraps around, however far apart the two are. Datetimes may be in any
    two units; units finer than nanoseconds are rounded down to nanoseconds.
    """
    if end.dtype.kind == "M":
        return _days_between(start, end)
    if np.result_type(start, end).kind in "biu":
        return _integers_between(start, end)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.fmax(end.astype(np.float64) - start, 0)


def _days_between(start, end):
    start_day, start_rest, start_steps = _split_days(start)
    end_day, end_rest, end_steps = _split_days(end)
    # Of two units of a day or less, the finer one divides the other.
    steps = max(start_steps, end_steps)
    days = end_day - start_day
    rest = end_rest * (steps // end_steps) - start_rest * (steps // start_steps)
    days -= rest < 0
    rest %= steps
    is_later = (days >= 0) & ~np.isnat(start) & ~np.isnat(end)
    days = np.where(is_later, days, 0)
    # One division of a whole number of steps, which is exact up to 2**53 of them.
    fits = days < (2**63 - 1) // steps
    n_steps = np.where(fits, np.where(fits, days, 0) * steps + rest, 0)
    return np.where(is_later, np.where(fits, n_steps / steps, days + rest / steps), 0)


def _split_days(times):
    """Whole days since 1970, the rest in steps of the unit, and the number of steps per day."""
    unit, _ = np.datetime_data(times.dtype)
    if unit in "YMWD":
        unit = "D"
    elif unit in ("ps", "fs", "as"):
        unit = "ns"
    # This also converts a unit such as 25 seconds, which need not divide a day, to seconds.
    times = times.astype(f"datetime64[{unit}]")
    steps = _NANOSECONDS_PER_DAY // nanoseconds_a_step(times.dtype)
    return *np.divmod(times.astype(np.int64), steps), steps


def _integers_between(start, end):
    # The difference of two 64-bit integers may need 64 unsigned bits.
    difference = end.astype(np.uint64) - start.astype(np.uint64)
    return np.where(end > start, difference, np.uint64(0)).astype(np.float64)


def _nanoseconds(length):
    """Nanoseconds of a timedelta64, as a Python integer, which cannot overflow."""
    return int(length.astype(np.int64)) * nanoseconds_a_step(length.dtype)


def _is_number(value):
    """Whether a value is a number, or a string that holds a number without a unit."""
    if isinstance(value, str):
        return bool(re.fullmatch(r"\s*[-+]?[\d.]+\s*", value))
    # In numpy, timedelta64 is a subclass of integer.
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(
        value, np.timedelta64
    )


def _parse_duration(length):
    """Convert to timedelta64, in the coarsest exact unit; None if it is not a duration."""
    try:
        duration = None if _is_number(length) else pd.Timedelta(length)
    except (TypeError, ValueError, OverflowError):
        return None
    if pd.isna(duration):
        return None
    for unit in ("s", "ms", "us"):
        if duration.as_unit(unit) == duration:
            return duration.as_unit(unit).to_timedelta64()
    return duration.as_unit("ns").to_timedelta64()
