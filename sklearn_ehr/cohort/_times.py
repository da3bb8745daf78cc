"""Columns of times: datetimes, dates, or numbers in the user's unit."""

import warnings
from dataclasses import dataclass, replace
from datetime import tzinfo

import numpy as np
import pandas as pd

from ..utils import from_arrow_column, readable

_ACCEPTED = "datetimes (aware or naive), dates, integers or floats"
_WAYS_OUT = {
    "period": (
        "A period is a span of time: choose its start or its end, for instance with "
        ".dt.to_timestamp(how='end'), by which all of it is known"
    ),
    "timedelta": (
        "Convert durations, such as the time since admission, to numbers: divide them by "
        "pandas.Timedelta('1D') for days"
    ),
}
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
# A float can hold every integer up to this one.
MAX_EXACT = 2**53


@dataclass(frozen=True)
class Times:
    """One column of times.

    The values are datetime64 (aware ones in UTC), int64 or float64, and NaT and NaN are null.
    `name` is that of the column, for error messages, and `zone` the time zone of aware datetimes.
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

    def take(self, positions):
        """Select times by position."""
        return replace(self, values=self.values[positions])

    def as_series(self):
        """Convert to a Series, of aware datetimes if there is a zone."""
        series = pd.Series(self.values)
        if self.zone is not None:
            series = series.dt.tz_localize("UTC").dt.tz_convert(self.zone)
        return series


def null_times(values):
    """True for each time that is NaT or NaN."""
    return np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)


def read_times(column, name):
    """Read a pandas Series as times.

    Values that are not times, or mix aware with naive datetimes or several time zones, and numbers
    that are infinite, are dates written as YYYYMMDD, or would be rounded, are refused.
    """
    column = readable(column)
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in {"integer", "floating", "mixed-integer-float"}:
        return _read_numbers(column, name, kind)
    if kind in {"datetime64", "datetime", "date"} or column.isna().all():
        return _read_datetimes(column, name)
    way_out = _WAYS_OUT.get(
        kind.removesuffix("64"), "Convert it first, for instance with pandas.to_datetime"
    )
    raise TypeError(
        f"Column {name!r} holds {kind} values (dtype {column.dtype}), but must hold {_ACCEPTED}. "
        f"{way_out}."
    )


def read_time(value, name, zone=None):
    """Read a parameter that is one time, possibly written as a string.

    A string without a zone is a time of `zone`. Nulls are refused, and all that `read_times`
    refuses.
    """
    try:
        time = pd.Timestamp(value) if isinstance(value, str) else value
        if isinstance(value, str) and zone is not None and time.tzinfo is None:
            time = time.tz_localize(zone, ambiguous=False, nonexistent="shift_forward")
    except ValueError:
        raise ValueError(
            f"{name}={value!r} is not a date. Write it as '2020-01-31', or give a datetime."
        ) from None
    if pd.api.types.is_list_like(time):
        raise TypeError(f"{name} must be one datetime or number, got {type(value).__name__}.")
    times = read_times(pd.Series([time]), name)
    if times.is_null.any():
        raise ValueError(f"{name}={value!r} is null; give a datetime or a number.")
    return times


def check_comparable(first, other):
    """Refuse to compare numbers with datetimes, or aware with naive datetimes."""
    if first.is_datetime != other.is_datetime:
        raise TypeError(
            f"Columns {first.name!r} and {other.name!r} cannot be compared: their dtypes are "
            f"{first.values.dtype} and {other.values.dtype}. Give both as datetimes, or both as "
            f"numbers of one unit."
        )
    if (first.zone is None) != (other.zone is None):
        aware, naive = (first, other) if other.zone is None else (other, first)
        raise TypeError(
            f"Column {aware.name!r} is aware of its time zone, but column {naive.name!r} is naive, "
            f"so they cannot be compared. Localise the naive one with .dt.tz_localize, or make "
            f"both naive."
        )


def convert(times, dtype):
    """Convert datetimes to another unit, or integers to floats.

    A coarser unit of datetimes rounds down. Times that the dtype cannot hold are refused.
    """
    if not times.is_datetime:
        if times.values.dtype != dtype:
            refuse_rounding(times.values, times.name)
        return replace(times, values=times.values.astype(dtype, copy=False))
    try:
        # Unlike numpy, pandas raises instead of wrapping around.
        values = pd.DatetimeIndex(times.values).as_unit(np.datetime_data(dtype)[0]).to_numpy()
    except (pd.errors.OutOfBoundsDatetime, OverflowError):
        raise ValueError(
            f"Column {times.name!r} holds times beyond the range of {dtype}. Convert the columns "
            f"of times to a coarser unit with .dt.as_unit('us')."
        ) from None
    return replace(times, values=values)


def as_keys(values):
    """Keys of times, which sort like them: integers for datetimes, numbers unchanged."""
    return values.view(np.int64) if values.dtype.kind == "M" else values


def last_key_by(times, dtype, closed):
    """Key of the last time of another dtype that lies at or before each of these times.

    With ``closed="left"`` it lies strictly before. The dtype is datetime64 if `times` are
    datetimes, otherwise int64 or float64. A time of that dtype lies at or before one of these times
    exactly if its key, as returned by `as_keys`, is not larger than the one returned. No conversion
    of units rounds a time into the future.
    """
    if dtype.kind == "f":
        return _last_float_by(times, closed)
    if times.dtype.kind == "f":
        whole = np.floor(times)
        key = np.clip(whole, -(2.0**63), 2.0**63 - 1024).astype(np.int64)
        key[whole >= 2.0**63] = _HIGHEST
        is_exact = whole == times
    else:
        key, is_exact = _change_unit(times, dtype)
    return np.where(is_exact & (key > _LOWEST), key - 1, key) if closed == "left" else key


def is_before(times, moment):
    """Whether times lie before a moment, an array of one time in whatever unit."""
    return as_keys(times) <= last_key_by(moment, times.dtype, "left")


def _last_float_by(times, closed):
    floats = times.astype(np.float64)
    is_exact = np.ones(len(floats), dtype=bool)
    if times.dtype.kind != "f":
        # Beyond 2**53, the nearest float of an integer may be a larger number.
        is_above = floats >= 2.0**63
        is_above[~is_above] = floats[~is_above].astype(np.int64) > times[~is_above]
        floats = np.where(is_above, np.nextafter(floats, -np.inf), floats)
        is_exact = floats.astype(np.int64) == times
    return np.where(is_exact, np.nextafter(floats, -np.inf), floats) if closed == "left" else floats


def _change_unit(times, dtype):
    """Keys in another unit, rounded down and clipped to int64, and whether each is exact."""
    key = as_keys(times)
    if times.dtype == dtype:
        return key, np.ones(len(key), dtype=bool)
    ratio = nanoseconds_a_step(times.dtype) / nanoseconds_a_step(dtype)
    if ratio < 1:
        step = round(1 / ratio)
        whole = key // step
        return whole, whole * step == key
    step = round(ratio)
    fits = np.abs(key) <= _HIGHEST // step
    beyond = np.where(key > 0, _HIGHEST, _LOWEST)
    return np.where(fits, np.where(fits, key, 0) * step, beyond), fits


def nanoseconds_a_step(dtype):
    """Nanoseconds in one step of a datetime64 or timedelta64 dtype."""
    unit, n_units = np.datetime_data(dtype)
    return int(np.timedelta64(n_units, unit).astype("timedelta64[ns]").astype(np.int64))


def times_far_ahead(times):
    """True for the datetimes that follow a gap of over a century, if they are the minority.

    An example is 9999-12-31, written for "open". Never true for numbers, whose unit is unknown.
    """
    is_far = np.zeros(len(times.values), dtype=bool)
    if not times.is_datetime or times.is_null.all():
        return is_far
    year = times.values.astype("datetime64[Y]")
    years = np.unique(year[~times.is_null])
    for gap in np.flatnonzero(np.diff(years).astype(np.int64) > 100):
        is_far = year > years[gap]
        if 2 * np.count_nonzero(is_far) < np.count_nonzero(~times.is_null):
            return is_far
    return np.zeros_like(is_far)


def warn_if_far_ahead(times, consequence):
    """Warn of times as of `times_far_ahead`, and return which these are."""
    is_far = times_far_ahead(times)
    if n_far := np.count_nonzero(is_far):
        warnings.warn(
            f"{n_far} event(s) (column {times.name!r}) are over a century later than all others, "
            f"such as an open end written as 9999-12-31. {consequence}",
            UserWarning,
            stacklevel=5,
        )
    return is_far


def _read_datetimes(column, name):
    try:
        index = _parse_datetimes(column)
    except (TypeError, ValueError, OverflowError):
        # The message of pandas quotes a cell, and so may reveal a patient.
        raise TypeError(
            f"Column {name!r} cannot be read as times: it mixes aware with naive datetimes, mixes "
            f"several time zones, or holds values that are not datetimes. Convert it to one zone "
            f"with pandas.to_datetime(..., utc=True) and .dt.tz_convert."
        ) from None
    zone = index.tz
    if zone is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    return Times(index.to_numpy(), name, zone)


def _parse_datetimes(column):
    if isinstance(column.dtype, pd.ArrowDtype):
        # Before version 3, pandas makes nanoseconds of any unit.
        column = from_arrow_column(column)
    if column.dtype.kind == "M":
        # pandas.to_datetime would copy them.
        return pd.DatetimeIndex(column)
    try:
        return pd.DatetimeIndex(pd.to_datetime(column))
    except pd.errors.OutOfBoundsDatetime:
        # Before version 3, pandas reads objects as nanoseconds, and so none of the year 9999.
        (zone,) = set(column.dropna().map(lambda time: getattr(time, "tzinfo", None)))
    values = column.astype(object).where(column.notna(), None)
    with warnings.catch_warnings():
        # numpy says of aware datetimes that it converts them to UTC.
        warnings.simplefilter("ignore", UserWarning)
        index = pd.DatetimeIndex(values.to_numpy("datetime64[us]"))
    return index if zone is None else index.tz_localize("UTC").tz_convert(zone)


def _read_numbers(column, name, kind):
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError:
        raise ValueError(
            f"Column {name!r} holds integers beyond int64. Use a coarser unit."
        ) from None
    if n_infinite := int(np.isinf(values).sum()):
        raise ValueError(
            f"Column {name!r} holds {n_infinite} infinite time(s), but times must be finite. Drop "
            f"those rows, or find out why they are infinite."
        )
    if _are_dates(values):
        raise ValueError(
            f"Column {name!r} holds dates written as numbers (such as 20200131), whose differences "
            f"are not days. Convert it with pandas.to_datetime(column.astype('Int64')."
            f"astype('string'), format='%Y%m%d')."
        )
    if kind == "integer" and not np.isnan(values).any():
        if (np.abs(values) >= 2**63).any():
            raise ValueError(f"Column {name!r} holds integers beyond int64. Use a coarser unit.")
        return Times(column.to_numpy(dtype=np.int64), name)
    if kind != "floating":
        refuse_rounding(values, name)
    return Times(values, name)


def _are_dates(values):
    """Whether all numbers are dates from 1900 to 2100, written as YYYYMMDD."""
    values = values[~np.isnan(values)]
    if not len(values) or values.min() < 1900_01_01 or values.max() > 2100_12_31:
        return False
    number = values.astype(np.int64)
    month, day = number // 100 % 100, number % 100
    if (number != values).any() or month.min() < 1 or month.max() > 12 or day.min() < 1:
        return False
    start = ((number // 10_000 - 1970) * 12 + month - 1).astype("datetime64[M]")
    n_days = (start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")
    return bool((day <= n_days.astype(np.int64)).all())


def refuse_rounding(values, name):
    """Raise if floats would round integers, which could move an event to an earlier time."""
    if (np.abs(values) > MAX_EXACT).any():
        raise ValueError(
            f"Column {name!r} holds integers beyond 2**53. They would be rounded, because the "
            f"column has nulls or floats, or because another column of times holds floats. Use "
            f"integers without nulls for all times, a coarser unit, or datetimes."
        )
