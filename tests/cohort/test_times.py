"""What a column of times means."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr.cohort._times import (
    align,
    as_duration,
    look_back,
    null_times,
    read_times,
    to_local,
)


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


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2020-01-01", "1960-05-05"], True),
        (["2020-01-01", None], True),
        (["2020-01-01", "2020-01-01T00:00:00.000000001"], False),
        (["1969-12-31T23:00"], False),
    ],
)
def test_whole_days_are_midnights(texts, expected):
    times = pd.to_datetime(pd.Series(texts), format="ISO8601")
    assert read(times).resolved_to_days() is expected
    assert read(times.dt.tz_localize("Asia/Tokyo")).resolved_to_days() is expected


def test_midnights_of_another_zone_are_no_whole_days():
    times = pd.Series(pd.to_datetime(["2020-01-01"])).dt.tz_localize("UTC")
    assert not read(times.dt.tz_convert("Asia/Kolkata")).resolved_to_days()


def test_numbers_are_no_days():
    assert not read([1, 2]).resolved_to_days()


def test_end_of_day():
    times = read(pd.to_datetime(["2020-02-28", "2020-02-29", "1969-12-31", None]))
    np.testing.assert_array_equal(
        times.end_of_day(times.starts_day()).values,
        np.array(["2020-02-29", "2020-03-01", "1970-01-01", "NaT"], dtype="M8[s]"),
    )


def test_alignment_takes_the_finest_unit():
    coarse = read(np.array(["2020-01-01"], dtype="M8[s]"))
    fine = read(np.array(["2020-01-01"], dtype="M8[ns]"))
    aligned = align(coarse, fine)
    assert [column.values.dtype for column in aligned] == ["M8[ns]", "M8[ns]"]
    assert align(coarse, coarse)[0].values.dtype == "M8[s]"


def test_alignment_of_numbers():
    assert align(read([1]), read([2]))[0].values.dtype == np.int64
    assert align(read([2**53]), read([2.5]))[0].values.tolist() == [2.0**53]
    with pytest.raises(ValueError, match=r"integers beyond 2\*\*53"):
        align(read([2**53 + 1]), read([2.5]))


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
