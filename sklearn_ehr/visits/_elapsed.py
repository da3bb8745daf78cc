"""Elapsed time between two arrays of times."""

import numpy as np

_STEPS_PER_DAY = {
    "h": 24,
    "m": 24 * 60,
    "s": 86_400,
    "ms": 86_400 * 10**3,
    "us": 86_400 * 10**6,
    "ns": 86_400 * 10**9,
}


def elapsed(end, start):
    """Return the time from `start` to `end`, computed from each pair of times alone.

    No difference wraps around, however far apart the two times are.

    Parameters
    ----------
    end, start : ndarrays of shape (n,)
        Both datetime64, in any two units, or both numbers. Units finer than nanoseconds are
        rounded down to nanoseconds.

    Returns
    -------
    float64 ndarray of shape (n,)
        In days between datetimes, else in the unit of the numbers. 0 where `end` is before `start`,
        or where either is null.
    """
    if end.dtype.kind == "M":
        return _days_between(end, start)
    if np.result_type(end, start).kind in "biu":
        return _integers_between(end, start)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.fmax(end.astype(np.float64) - start, 0)


def _days_between(end, start):
    end_day, end_rest, end_steps = _split_days(end)
    start_day, start_rest, start_steps = _split_days(start)
    # Of two units of hours or less the finer one divides the other.
    steps = max(end_steps, start_steps)
    days = end_day - start_day
    rest = end_rest * (steps // end_steps) - start_rest * (steps // start_steps)
    days -= rest < 0
    rest %= steps
    is_later = (days >= 0) & ~np.isnat(end) & ~np.isnat(start)
    days = np.where(is_later, days, 0)
    # One division of a whole number of steps, which is exact up to 2**53 of them.
    fits = days < (2**63 - 1) // steps
    n_steps = np.where(fits, np.where(fits, days, 0) * steps + rest, 0)
    return np.where(is_later, np.where(fits, n_steps / steps, days + rest / steps), 0)


def _split_days(times):
    """Whole days since 1970, the rest in steps of the unit, and the number of steps in a day."""
    unit, _ = np.datetime_data(times.dtype)
    if unit in "YMWD":
        return times.astype("datetime64[D]").astype(np.int64), np.int64(0), 1
    # Of a unit such as 25 seconds this makes seconds.
    unit = unit if unit in _STEPS_PER_DAY else "ns"
    steps = _STEPS_PER_DAY[unit]
    return *np.divmod(times.astype(f"datetime64[{unit}]").astype(np.int64), steps), steps


def _integers_between(end, start):
    # A difference of 64-bit integers may take 64 bits itself, as unsigned ones have.
    difference = end.astype(np.uint64) - start.astype(np.uint64)
    return np.where(end > start, difference, np.uint64(0)).astype(np.float64)
