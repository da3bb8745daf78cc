"""Lengths of time, and times that lie a length apart."""

import re

import numpy as np
import pandas as pd

from ._times import Times, convert, nanoseconds_a_step

_LOWEST = np.uint64(2**63)


def as_duration(length, name, is_datetime):
    """Check a length of time against the kind of the times it is used with.

    Returns a `numpy.timedelta64` of the coarsest unit for datetimes, a number for numeric times.
    """
    if is_datetime:
        duration = _parse_duration(length)
        if duration is None:
            raise TypeError(
                f"{name}={length!r} is no length of time, but the times are datetimes. Give one "
                f"such as pandas.Timedelta('365D')."
            )
        valid = duration > np.timedelta64(0)
    else:
        duration = length
        if not _is_number(length) or isinstance(length, bool | str):
            raise TypeError(
                f"{name}={length!r} is no number, but the times are numbers. Give it in their unit."
            )
        valid = 0 < length < np.inf
    if not valid:
        raise ValueError(f"{name}={length!r} must be finite and longer than zero.")
    return duration


def add_duration(values, length, name):
    """Times later by a length of time, as `as_duration` checks it.

    Raises
    ------
    ValueError
        If the unit of the times cannot hold the result.
    """
    n_steps = length
    beyond = ValueError(
        f"{name}={length!r} reaches beyond the times that {values.dtype} can hold. Take a shorter "
        f"one, or convert times with .dt.as_unit('us')."
    )
    if values.dtype.kind == "M":
        try:
            values = convert(Times(values, name), finer_unit(values.dtype, length)).values
        except ValueError:
            raise beyond from None
        n_steps = -(-_nanoseconds(length) // nanoseconds_a_step(values.dtype))
    # Beyond int64 numpy would wrap around, to times long past.
    if values.dtype.kind != "f" and int(values.view(np.int64).max(initial=0)) + n_steps >= 2**63:
        raise beyond
    return values + length


def finer_unit(dtype, length):
    """The datetime64 of the finer unit of a datetime64 and a timedelta64."""
    return np.promote_types(dtype, np.dtype(length.dtype.str.replace("m8", "M8")))


def look_back(end, length, closed):
    """Start of a window of this length before each end, in the unit of the ends.

    Of times that are whole numbers of a unit, those after ``end - length`` (closed "right"; from it
    on when "left") are those after (from) the start returned.
    """
    if end.dtype.kind == "f":
        return end - length
    step = 1
    if end.dtype.kind == "M":
        length, step = _nanoseconds(length), nanoseconds_a_step(end.dtype)
    n_steps = int(length // step if closed == "left" else -(-length // step))
    n_steps = np.uint64(min(n_steps, np.iinfo(np.uint64).max))
    # Counted from the lowest integer, which is NaT, a start too early to hold shows as too few.
    n_before = end.view(np.uint64) ^ _LOWEST
    start = np.where(n_before > n_steps, n_before - n_steps, np.uint64(1))
    return (start ^ _LOWEST).view(end.dtype)


def _nanoseconds(length):
    """A timedelta64 as a number without bounds."""
    return int(length.astype(np.int64)) * nanoseconds_a_step(length.dtype)


def _is_number(value):
    """Whether a value is a number or a text that is one, without a unit."""
    if isinstance(value, str):
        return bool(re.fullmatch(r"\s*[-+]?[\d.]+\s*", value))
    # numpy counts its lengths of time among the integers.
    return isinstance(value, int | float | np.number) and not isinstance(value, np.timedelta64)


def _parse_duration(length):
    """The length as a timedelta64 of the coarsest unit that holds it; None if it is none."""
    try:
        duration = None if _is_number(length) else pd.Timedelta(length)
    except (TypeError, ValueError):
        return None
    if pd.isna(duration):
        return None
    for unit in ("s", "ms", "us"):
        if duration.as_unit(unit) == duration:
            return duration.as_unit(unit).to_timedelta64()
    return duration.as_unit("ns").to_timedelta64()
