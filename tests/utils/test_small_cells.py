import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_ehr.utils._small_cells import (
    safe_bins,
    safe_quantiles,
    safe_share,
    safe_years,
    spread,
    two_values,
)


def each(n):
    """As many patients as values."""
    return np.arange(n)


def test_quantiles_have_ten_patients_on_both_sides():
    assert safe_quantiles(np.arange(18), each(18)) == {}
    assert safe_quantiles(np.arange(19), each(19)) == {50: 9}
    assert safe_quantiles(np.arange(40), each(40)) == {25: 9, 50: 19, 75: 29}
    assert safe_quantiles(np.arange(200), each(200)) == {5: 9, 25: 49, 50: 99, 75: 149, 95: 189}


def test_quantiles_count_patients_and_not_their_samples():
    # Ten samples each of 18 patients, and of 19.
    assert safe_quantiles(np.arange(180), np.arange(180) // 10) == {}
    assert safe_quantiles(np.arange(190), np.arange(190) // 10) == {50: 94}


def test_bins_are_of_one_round_width_and_open_at_both_ends():
    edges, shares = safe_bins(np.repeat(np.arange(30), 20), each(600))
    assert edges == list(range(2, 30, 2))
    assert np.allclose(shares[1:-1], 2 / 30)
    assert sum(shares) == pytest.approx(1)


def test_bins_of_few_values_have_a_width_of_one():
    edges, shares = safe_bins(np.repeat([1, 2, 3, 9], [50, 30, 15, 5]), each(100))
    assert edges == [2, 3]
    assert shares == [0.5, 0.3, 0.2]


@pytest.mark.parametrize("values", [[], [3] * 9, [3] * 100, [0] * 15 + [100] * 5])
def test_no_bins_where_two_would_have_too_few_patients(values):
    assert safe_bins(np.array(values, dtype=int), each(len(values))) == ([], [])


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 40)), max_size=300),
    st.sampled_from([1, 1000, 10**6]),
)
def test_every_bin_has_ten_patients(pairs, scale):
    values, patient = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    values = values // scale
    edges, shares = safe_bins(values, patient)
    if shares:
        assert 2 <= len(shares) == len(edges) + 1 <= 16
        bins = np.searchsorted(edges, values, side="right")
        for position, share in enumerate(shares):
            assert share == np.mean(bins == position)
            assert len(set(patient[bins == position])) >= 10


def test_years_are_those_in_which_ten_patients_have_a_time():
    years = [1950] * 9 + [2001] * 10 + [2003] * 3 + [2007] * 12 + [2150]
    times = np.array([f"{year}-07-03" for year in years], dtype="datetime64[ns]")
    assert safe_years(times, each(len(times))) == (2001, 2007)
    assert safe_years(np.append(times, np.datetime64("NaT")), each(len(times) + 1)) == (2001, 2007)
    assert safe_years(times, np.arange(len(times)) // 2) is None
    assert safe_years(np.arange(100), each(100)) is None


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pd.Series([0, 1, 1]), [0, 1]),
        (pd.Series([1.0, np.nan, 2.0]), [1, 2]),
        (pd.Series([True, False]), [False, True]),
        (pd.Series([True, None, False], dtype="boolean"), [False, True]),
        (pd.Series([True, None, False], dtype=object), [False, True]),
        (pd.Series(["f", "m", None]), ["f", "m"]),
        (pd.Series(["f", "m"], dtype="category"), ["f", "m"]),
        (pd.Series(pd.Categorical(["b", "a"], ["c", "b", "a"])), ["b", "a"]),
        (pd.Series([0, 1], dtype="float32"), [0, 1]),
        (pd.Series([0, 1, None], dtype="Int8"), [0, 1]),
    ],
)
def test_columns_of_two_values(column, values):
    position, found = two_values(column)
    assert list(found) == values
    expected = [-1 if pd.isna(value) else values.index(value) for value in column]
    assert position.tolist() == expected


@pytest.mark.parametrize(
    "column",
    [
        [],
        [None, None],
        [1, 1],
        [1, 2, 3],
        [0] * 2000 + [1, 2],
        [[1], [2]],
        [{}, 1],
        [1, "a"],
        [1 + 2j, 0],
        pd.to_datetime(["2020-01-01", "2020-01-02"]),
        pd.to_timedelta([1, 2]),
        pd.interval_range(0, 2),
        pd.Categorical(pd.interval_range(0, 2)),
        [b"a", b"b"],
    ],
)
def test_other_columns_are_passed_over(column):
    assert two_values(pd.Series(column)) is None


def test_share_needs_ten_patients_with_either_value():
    position = np.repeat([0, 1, -1], [30, 10, 5])
    assert safe_share(position, each(45)) == 0.25
    assert safe_share(position[:-6], each(39)) is None
    assert safe_share(1 - position, np.r_[np.zeros(30, dtype=int), 1 + each(15)]) is None


def test_spread_takes_blocks_of_neighbours_from_all_over():
    assert spread(1000, 1000).tolist() == list(range(1000))
    some = spread(10**9, 1000)
    assert len(np.unique(some)) == 1000
    assert (
        some.reshape(10, 100)[:, 0].tolist() == np.linspace(0, 10**9 - 100, 10).astype(int).tolist()
    )
    assert (np.diff(some.reshape(10, 100)) == 1).all()
    assert len(np.unique(spread(1001, 1000))) == 1000
