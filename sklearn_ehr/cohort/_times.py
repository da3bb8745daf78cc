"""What a column of times means: instants, whole days, or numbers in the user's unit."""

import re
from dataclasses import dataclass, replace
from datetime import tzinfo

import numpy as np
import pandas as pd

_ACCEPTED = "datetimes (aware or naive), dates, integers or floats"
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_LOWEST = np.uint64(2**63)
# Up to here every whole number is a float.
MAX_EXACT = 2**53


@dataclass(frozen=True)
class Times:
    """One column of times.

    Attributes
    ----------
    values : ndarray
        datetime64 in UTC, int64 or float64; NaT or NaN is null.
    name : str
        The column, for errors.
    zone : tzinfo or None
        Zone of aware datetimes.
    """

    values: np.ndarray
    name: str
    zone: tzinfo | None = None

    @property
    def is_datetime(self):
        return self.values.dtype.kind == "M"

    @property
    def is_null(self):
        return null_times(self.values)

    def resolved_to_days(self):
        """Whether every non-null value is the first instant of a day of its own zone."""
        return self.is_datetime and bool((self.starts_day() | self.is_null).all())

    def starts_day(self):
        """Which datetimes are the first instant of a day of their own zone."""
        local = to_local(self.values, self.zone)
        day = local.astype("datetime64[D]")
        starts_day = local == day
        if self.zone is not None and not starts_day.all():
            # Where the clock springs forward at midnight, the day starts later.
            starts_day |= self.values == _to_utc(day, self.zone)
        return starts_day

    def end_of_day(self, which):
        """The values where those marked are replaced by the midnight that ends their day."""
        day = to_local(self.values[which], self.zone).astype("datetime64[D]")
        ended = replace(self, values=_to_utc(day + np.timedelta64(1, "D"), self.zone))
        values = self.values.copy()
        values[which] = _cast(ended, values.dtype)
        return replace(self, values=values)


def null_times(values):
    """True where a time is NaT or NaN."""
    return np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)


def read_times(column, name):
    """Read a pandas Series as times.

    Raises
    ------
    TypeError
        If the values are not times or mix aware with naive ones or two zones.
    ValueError
        If a numeric time is infinite.
    """
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in {"integer", "floating", "mixed-integer-float"}:
        return _read_numbers(column, name, kind)
    if kind in {"datetime64", "datetime", "date"} or column.isna().all():
        return _read_datetimes(column, name)
    raise TypeError(
        f"Column {name!r} holds {kind} values (dtype {column.dtype}); accepted are {_ACCEPTED}. "
        f"Convert it first, for instance with pandas.to_datetime."
    )


def read_time(value, name):
    """Read a parameter that is one time, which may be written as a text.

    Raises
    ------
    TypeError
        If it is no time.
    ValueError
        If it is a text of none, null or infinite.
    """
    try:
        time = pd.Timestamp(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(
            f"{name}={value!r} is no date. Write it as '2020-01-31', or give a datetime."
        ) from None
    if pd.api.types.is_list_like(time):
        raise TypeError(f"{name} must be one datetime or number, got {type(value).__name__}.")
    times = read_times(pd.Series([time]), name)
    if times.is_null.any():
        raise ValueError(f"{name}={value!r} is null; give a datetime, or a number.")
    return times


def align(*columns):
    """Bring columns of times to one representation that compares exactly.

    Raises
    ------
    TypeError
        If numbers meet datetimes, or aware datetimes naive ones.
    ValueError
        If the finest unit present cannot hold all of the times.
    """
    first = columns[0]
    for other in columns[1:]:
        if first.is_datetime != other.is_datetime:
            raise TypeError(
                f"Columns {first.name!r} and {other.name!r} do not compare: their dtypes are "
                f"{first.values.dtype} and {other.values.dtype}. Give both as datetimes, or both "
                f"as numbers of one unit."
            )
        if (first.zone is None) != (other.zone is None):
            aware, naive = (first, other) if other.zone is None else (other, first)
            raise TypeError(
                f"Column {aware.name!r} is aware of its time zone and column {naive.name!r} is "
                f"naive; they do not compare. Localise the naive one with .dt.tz_localize, or make "
                f"both naive."
            )
    dtype = np.result_type(*(column.values for column in columns))
    return [replace(column, values=_cast(column, dtype)) for column in columns]


def to_local(values, zone):
    """UTC datetimes as naive datetimes of the zone; naive ones as they are."""
    if zone is None:
        return values
    index = pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(zone)
    try:
        return index.tz_localize(None).to_numpy()
    except pd.errors.OutOfBoundsDatetime:
        raise ValueError(
            f"A column of times reaches the end of the range of {values.dtype} and has no local "
            f"time there. Convert it with .dt.as_unit('us')."
        ) from None


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
    if values.dtype.kind == "M":
        n_steps = -(-_nanoseconds(length) // _nanoseconds_a_step(values.dtype))
    # Beyond int64 numpy would wrap around, to times long past.
    if values.dtype.kind != "f" and int(values.view(np.int64).max(initial=0)) + n_steps >= 2**63:
        raise ValueError(
            f"{name}={length!r} reaches beyond the times that {values.dtype} can hold. Take a "
            f"shorter one, or convert times with .dt.as_unit('us')."
        )
    return values + length


def look_back(end, length, closed):
    """Start of a window of this length before each end, in the unit of the ends.

    Of times that are whole numbers of a unit, those after ``end - length`` (closed "right"; from it
    on when "left") are those after (from) the start returned.
    """
    if end.dtype.kind == "f":
        return end - length
    step = 1
    if end.dtype.kind == "M":
        length, step = _nanoseconds(length), _nanoseconds_a_step(end.dtype)
    n_steps = int(length // step if closed == "left" else -(-length // step))
    n_steps = np.uint64(min(n_steps, np.iinfo(np.uint64).max))
    # Counted from the lowest integer, which is NaT, a start too early to hold shows as too few.
    n_before = end.view(np.uint64) ^ _LOWEST
    start = np.where(n_before > n_steps, n_before - n_steps, np.uint64(1))
    return (start ^ _LOWEST).view(end.dtype)


def _nanoseconds(length):
    """A timedelta64 as a number without bounds."""
    return int(length.astype(np.int64)) * _nanoseconds_a_step(length.dtype)


def _nanoseconds_a_step(dtype):
    return _NANOSECONDS[np.datetime_data(dtype)[0]]


def _read_datetimes(column, name):
    try:
        index = pd.DatetimeIndex(pd.to_datetime(column))
    except (TypeError, ValueError, OverflowError):
        # pandas quotes the offending cell: its message must not be shown.
        raise TypeError(
            f"Column {name!r} cannot be read as times: it mixes aware with naive datetimes, "
            f"several time zones, or values that are no datetimes. Bring it to one zone with "
            f"pandas.to_datetime(..., utc=True) and .dt.tz_convert."
        ) from None
    zone = index.tz
    if zone is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    return Times(index.to_numpy(), name, zone)


def _read_numbers(column, name, kind):
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if n_infinite := int(np.isinf(values).sum()):
        raise ValueError(
            f"Column {name!r} holds {n_infinite} infinite time(s); times must be finite. Drop "
            f"those rows, or find out why they are infinite."
        )
    if kind == "integer" and not np.isnan(values).any():
        if (np.abs(values) >= 2**63).any():
            raise ValueError(f"Column {name!r} holds integers beyond int64. Use a coarser unit.")
        return Times(column.to_numpy(dtype=np.int64), name)
    if kind != "floating":
        _refuse_rounding(values, name)
    return Times(values, name)


def _refuse_rounding(values, name):
    """Raise where integers do not fit into floats: rounded, a later event may seem earlier."""
    if (np.abs(values) > MAX_EXACT).any():
        raise ValueError(
            f"Column {name!r} holds integers beyond 2**53, which nulls or a column of floats "
            f"beside it would round. Use integers without nulls for all times, a coarser unit, or "
            f"datetimes."
        )


def _cast(column, dtype):
    if not column.is_datetime:
        if column.values.dtype != dtype:
            _refuse_rounding(column.values, column.name)
        return column.values.astype(dtype, copy=False)
    try:
        # pandas checks the range when it changes the unit; numpy would wrap around.
        return pd.DatetimeIndex(column.values).as_unit(np.datetime_data(dtype)[0]).to_numpy()
    except (pd.errors.OutOfBoundsDatetime, OverflowError):
        raise ValueError(
            f"Column {column.name!r} holds times beyond the range of {dtype}, the finest unit "
            f"among the columns. Convert the finer columns with .dt.as_unit('us')."
        ) from None


def _to_utc(midnights, zone):
    """Midnights of days in a zone as UTC datetimes, in seconds, which hold the day after any."""
    midnights = midnights.astype("datetime64[s]")
    if zone is None:
        return midnights
    # Of an ambiguous midnight the later instant is taken: a fact is never known too early.
    later = np.zeros(len(midnights), dtype=bool)
    index = pd.DatetimeIndex(midnights)
    index = index.tz_localize(zone, ambiguous=later, nonexistent="shift_forward")
    return index.tz_convert("UTC").tz_localize(None).to_numpy()


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
