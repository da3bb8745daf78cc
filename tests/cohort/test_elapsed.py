"""Elapsed time is that of Python's integers and datetimes, however far apart two times are."""

from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr.cohort import elapsed

NAT = np.datetime64("NaT")
INT64 = np.iinfo(np.int64)
# Nanoseconds in a step of each unit, written out.
NANOSECONDS = {
    "D": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
# Years 1 to 9999 in nanoseconds since 1970, and what 64 bits hold of them.
YEARS = (-719_162 * NANOSECONDS["D"], 2_932_896 * NANOSECONDS["D"])


@st.composite
def instants(draw):
    """A unit, and a number of its steps that is between years 1 and 9999 where it can be."""
    unit = draw(st.sampled_from(list(NANOSECONDS)))
    low, high = (bound // NANOSECONDS[unit] for bound in YEARS)
    return unit, draw(st.integers(max(low, INT64.min + 1), min(high, INT64.max)))


@settings(max_examples=300, deadline=None)
@given(end=instants(), start=instants())
def test_days_are_those_of_exact_arithmetic_in_any_two_units(end, start):
    arrays = [np.array([steps], dtype=f"datetime64[{unit}]") for unit, steps in (end, start)]
    exact = [steps * NANOSECONDS[unit] for unit, steps in (end, start)]
    wanted = max(Fraction(exact[0] - exact[1], NANOSECONDS["D"]), 0)
    got = elapsed(*reversed(arrays))
    assert got.dtype == np.float64
    assert got[0] == pytest.approx(float(wanted), rel=4e-16, abs=0)


@settings(max_examples=100, deadline=None)
@given(end=st.datetimes(), start=st.datetimes())
def test_days_are_those_of_python_datetimes(end, start):
    got = elapsed(np.array([start], "datetime64[us]"), np.array([end], "datetime64[us]"))
    assert got[0] == pytest.approx(max((end - start) / timedelta(days=1), 0), rel=4e-16, abs=0)


WHOLE = st.integers(INT64.min, INT64.max)


@settings(max_examples=200, deadline=None)
@given(end=WHOLE, start=WHOLE)
def test_integers_subtract_as_those_of_python(end, start):
    got = elapsed(np.array([start]), np.array([end]))
    assert got.tolist() == [float(max(end - start, 0))]


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(instants(), instants()), min_size=1, max_size=5))
def test_no_pair_depends_on_the_other_rows(pairs):
    (end_unit, _), (start_unit, _) = pairs[0]
    end = np.array([end for (_, end), _ in pairs]).astype(f"datetime64[{end_unit}]")
    start = np.array([start for _, (_, start) in pairs]).astype(f"datetime64[{start_unit}]")
    alone = [elapsed(start[i : i + 1], end[i : i + 1])[0] for i in range(len(pairs))]
    assert elapsed(start, end).tolist() == alone


def test_years_that_nanoseconds_do_not_span():
    start = np.array(["1851-03-01", "1851-03-01", "2000-01-01"], "datetime64[s]")
    end = np.array(["2151-03-01", "2262-04-11", "1999-12-31"], "datetime64[ns]")
    days = [
        (datetime(year, month, day) - datetime(1851, 3, 1)).days
        for year, month, day in [(2151, 3, 1), (2262, 4, 11)]
    ]
    assert elapsed(start, end).tolist() == [*days, 0]
    far = np.array(["9999-12-31T12"], "datetime64[s]")
    wanted = (datetime(9999, 12, 31) - datetime(2151, 3, 1)).days + 0.5
    assert elapsed(end[:1], far).tolist() == [wanted]
    assert elapsed(far, end[:1]).tolist() == [0]


def test_a_nanosecond_before_midnight_is_not_lost():
    midnight = np.array(["2020-01-02"], "datetime64[s]")
    just_before = np.array(["2020-01-01T23:59:59.999999999"], "datetime64[ns]")
    assert elapsed(just_before, midnight).tolist() == [1 / NANOSECONDS["D"]]
    assert elapsed(midnight, just_before).tolist() == [0]


def test_earliest_nanoseconds():
    earliest = np.array([INT64.min + 1]).view("datetime64[ns]")
    latest = np.array([INT64.max]).view("datetime64[ns]")
    wanted = float(Fraction(2**64 - 2, NANOSECONDS["D"]))
    assert elapsed(earliest, latest)[0] == pytest.approx(wanted, rel=4e-16)
    assert elapsed(latest, earliest).tolist() == [0]


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_null_datetimes_have_no_distance(unit):
    times = np.array(["2020-01-01", "NaT", "NaT"], f"datetime64[{unit}]")
    assert elapsed(times, np.array([NAT, "2020-01-01", NAT], "datetime64[us]")).tolist() == [0] * 3


@pytest.mark.parametrize("unit", ["Y", "M", "W", "25s", "ps"])
def test_units_that_pandas_has_not(unit):
    start, end = (np.array([day], f"datetime64[{unit}]") for day in ("1970-01-01", "1970-03-01"))
    wanted = (end.astype("datetime64[h]") - start.astype("datetime64[h]"))[0].astype(int) / 24
    assert elapsed(start, end).tolist() == [wanted]


def test_floats_subtract_and_nan_is_zero():
    end, start = np.array([1.5, np.nan, 2.0, 1.0]), np.array([1.0, 1.0, np.nan, 3.0])
    assert elapsed(start, end).tolist() == [0.5, 0, 0, 0]


def test_integers_of_few_bits_do_not_wrap():
    assert elapsed(np.array([-100], np.int8), np.array([100], np.int8)).tolist() == [200]
    assert elapsed(np.array([2], np.uint8), np.array([1], np.uint8)).tolist() == [0]
    assert elapsed(np.array([2.5]), np.array([7])).tolist() == [4.5]
    far = elapsed(np.array([INT64.min]), np.array([2**64 - 1], np.uint64))
    assert far.tolist() == [2.0**64 + 2.0**63]
