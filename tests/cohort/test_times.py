"""Columns of times."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr.cohort._days import to_local
from sklearn_ehr.cohort._durations import as_duration, look_back
from sklearn_ehr.cohort._times import last_key_by, null_times, read_times, times_far_ahead


def read(values, **options):
    return read_times(pd.Series(values, **options), "time")


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16", "Int32", object])
def test_integers_stay_integers(dtype):
    times = read([3, 1], dtype=dtype)
    assert times.values.dtype == np.int64
    assert times.values.tolist() == [3, 1]
    assert not times.is_datetime


@pytest.mark.parametrize("dtype", ["float32", "float64", "Float64", object])
def test_floats_may_be_null(dtype):
    times = read([0.5, None], dtype=dtype)
    assert times.values.dtype == np.float64
    assert times.is_null.tolist() == [False, True]


def test_integers_with_nulls_become_floats():
    times = read([5, None], dtype="Int64")
    np.testing.assert_array_equal(times.values, [5.0, np.nan])


@pytest.mark.parametrize(
    "values",
    [
        [dt.date(2020, 1, 2), None],
        [dt.datetime(2020, 1, 2), None],
        [pd.Timestamp("2020-01-02"), pd.NaT],
        pd.array(["2020-01-02", "NaT"], dtype="datetime64[s]"),
    ],
)
def test_dates_and_datetimes_become_datetime64(values):
    times = read(values)
    assert times.is_datetime
    assert times.zone is None
    assert times.values[0] == np.datetime64("2020-01-02")
    assert times.is_null.tolist() == [False, True]


@pytest.mark.parametrize("dtype", [object, None])
def test_aware_datetimes_become_utc_and_keep_their_zone(dtype):
    aware = pd.to_datetime(["2020-01-02T01:00", None]).tz_localize("Europe/Berlin")
    times = read(aware, dtype=dtype)
    assert times.values[0] == np.datetime64("2020-01-02T00:00")
    assert str(times.zone) == "Europe/Berlin"
    assert to_local(times.values, times.zone)[0] == np.datetime64("2020-01-02T01:00")


def test_columns_of_nulls():
    assert read([np.nan, np.nan]).values.dtype == np.float64
    assert read([None, None], dtype=object).is_datetime


def test_null_times_of_every_kind():
    assert null_times(np.array([1, 2])).tolist() == [False, False]
    assert null_times(np.array([1, np.nan])).tolist() == [False, True]
    assert null_times(np.array(["2020", "NaT"], dtype="M8[s]")).tolist() == [False, True]


UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


@settings(max_examples=500, deadline=None)
@given(
    count=st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-(10**4), 10**4),
    step=st.integers(-3, 3),
    units=st.tuples(*[st.sampled_from(list(UNITS))] * 2),
    closed=st.sampled_from(["left", "right"]),
)
def test_last_key_by_a_datetime_is_exact_in_any_unit(count, step, units, closed):
    moment_unit, unit = units
    moment = np.array([count], dtype=f"M8[{moment_unit}]")
    (key,) = last_key_by(moment, np.dtype(f"M8[{unit}]"), closed)
    nanoseconds = count * UNITS[moment_unit]
    other = nanoseconds // UNITS[unit] + step
    if -(2**63) < other < 2**63:
        is_by = other * UNITS[unit] <= nanoseconds
        if closed == "left":
            is_by = other * UNITS[unit] < nanoseconds
        assert (other <= key) == is_by


NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-5, 5)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-20, 20).map(
    lambda n: n / 4
)


@settings(max_examples=500, deadline=None)
@given(
    moment=NUMBERS | FLOATS | st.integers(-5, 5).map(lambda n: float(2**53 + n)),
    other=NUMBERS | FLOATS,
    closed=st.sampled_from(["left", "right"]),
)
def test_last_key_by_a_number_is_exact(moment, other, closed):
    for value in (other, moment if isinstance(moment, int) == isinstance(other, int) else other):
        dtype = np.dtype(np.int64 if isinstance(value, int) else np.float64)
        (key,) = last_key_by(np.array([moment]), dtype, closed)
        # Python compares integers and floats exactly.
        assert (value <= key.item()) == (value <= moment if closed == "right" else value < moment)


@pytest.mark.parametrize("zone", [None, dt.UTC, ZoneInfo("Europe/Berlin")])
def test_objects_of_the_year_9999_are_read(zone):
    start, end = (dt.datetime(year, 12, 30, 12, tzinfo=zone) for year in (2020, 9999))
    times = read([start, None, end], dtype=object)
    expected = [
        None if time is None else time.astimezone(dt.UTC).replace(tzinfo=None) if zone else time
        for time in (start, None, end)
    ]
    assert times.values.astype("M8[us]").tolist() == expected
    assert str(times.zone) == str(zone)
    mixed = [start, dt.datetime(9999, 12, 30, tzinfo=None if zone else dt.UTC)]
    with pytest.raises(TypeError, match="mixes aware with naive"):
        read(mixed, dtype=object)


def dates(*texts):
    return np.array(texts, dtype="M8[us]")


def test_times_a_century_after_all_others_are_far():
    far = times_far_ahead(read(dates("2020-01-01", "9999-12-31", "NaT", "2099-01-01")))
    assert far.tolist() == [False, True, False, False]
    two_ends = dates(*["2020-01-01"] * 3, "2999-12-31", "9999-12-31")
    assert times_far_ahead(read(two_ends)).tolist() == [False] * 3 + [True] * 2
    # Nulls do not make a majority.
    mostly_null = dates("2020-01-01", "9999-12-31", "NaT", "NaT", "NaT")
    assert not times_far_ahead(read(mostly_null)).any()
    # Births shifted into the past are not, nor a minority that is none, nor numbers.
    for values in (
        dates("1850-01-01", "2150-01-01", "2150-02-01"),
        dates("2020-01-01", "9999-12-31"),
        [1, 2, 10**12],
    ):
        assert not times_far_ahead(read(values)).any()


@pytest.mark.parametrize("values", [[20080404, 19991231], [20080404.0, None], [20000229, 19000101]])
def test_dates_written_as_numbers_are_refused(values):
    with pytest.raises(ValueError, match=r"'time' holds dates written as numbers.*to_datetime"):
        read(values)


@pytest.mark.parametrize(
    "values",
    [[20080404, 20080400], [20010229], [20080404, 5], [18991231], [21010101], [20080404.5], [0]],
)
def test_numbers_that_are_no_dates_are_times(values):
    assert len(read(values).values) == len(values)


def test_durations_take_the_coarsest_unit():
    for length, unit in [("365D", "s"), ("1500ms", "ms"), ("3us", "us"), ("3ns", "ns")]:
        duration = as_duration(length, "lookback", True)
        assert np.datetime_data(duration.dtype) == (unit, 1)
        assert pd.Timedelta(duration) == pd.Timedelta(length)


@settings(max_examples=300, deadline=None)
@given(
    end=st.integers(-(2**63) + 1, 2**63 - 1),
    length=st.integers(1, 2**70) | st.fractions(0, 9, max_denominator=8).filter(bool).map(float),
    distance=st.integers(-3, 3),
    closed=st.sampled_from(["left", "right"]),
)
def test_looking_back_over_integers_is_exact(end, length, distance, closed):
    value = end - int(length) + distance
    start = look_back(np.array([end]), length, closed)
    if not -(2**63) + 1 < value < 2**63:
        return
    if closed == "right":
        assert (value > start[0]) == (end - value < length)
    else:
        assert (value >= start[0]) == (end - value <= length)


@settings(max_examples=200, deadline=None)
@given(
    end=st.integers(-(10**9), 10**9),
    gap=st.integers(0, 5000),
    length=st.integers(1, 5 * 10**6),
    units=st.tuples(*[st.sampled_from(["s", "ms", "us", "ns"])] * 2),
    closed=st.sampled_from(["left", "right"]),
)
def test_looking_back_over_datetimes_is_exact(end, gap, length, units, closed):
    nanoseconds = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
    unit, length_unit = units
    ends = np.array([end], dtype=f"M8[{unit}]")
    lookback = as_duration(np.timedelta64(length, length_unit), "lookback", True)
    start = look_back(ends, lookback, closed)
    assert start.dtype == ends.dtype
    value = ends - np.timedelta64(gap, unit)
    exact_gap, exact_length = gap * nanoseconds[unit], length * nanoseconds[length_unit]
    if closed == "right":
        assert (value > start)[0] == (exact_gap < exact_length)
    else:
        assert (value >= start)[0] == (exact_gap <= exact_length)
