"""How ragged arrays are addressed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr.utils._ragged import (
    concatenate_ranges,
    index_ranges,
    offsets_from_lengths,
    resolve_index,
    run_starts,
    search_ranges,
)


def test_offsets_start_at_zero_and_end_with_the_total():
    assert offsets_from_lengths([2, 0, 3]).tolist() == [0, 2, 2, 5]
    assert offsets_from_lengths([]).tolist() == [0]
    assert offsets_from_lengths(np.array([True, False, True])).tolist() == [0, 1, 1, 2]


def test_offsets_do_not_overflow_small_integers():
    assert offsets_from_lengths(np.full(3, 100, dtype=np.int8)).tolist() == [0, 100, 200, 300]


def test_ranges_are_concatenated_in_order():
    starts, stops = np.array([5, 2, 2, 0]), np.array([7, 2, 3, 2])
    assert concatenate_ranges(starts, stops).tolist() == [5, 6, 2, 0, 1]
    assert concatenate_ranges(np.array([], dtype=int), np.array([], dtype=int)).tolist() == []


def test_ranges_that_join_up_are_a_slice():
    assert index_ranges(np.array([2, 5]), np.array([5, 6])) == slice(2, 6)
    assert index_ranges(np.array([2, 6]), np.array([5, 7])).tolist() == [2, 3, 4, 6]


def test_run_starts_where_any_key_changes():
    assert run_starts(np.array([1, 1, 2, 2, 2]), np.array([0, 0, 0, 1, 1])).tolist() == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert run_starts(np.array([])).tolist() == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=8), st.integers(-1, 10)), min_size=1),
    st.sampled_from(["left", "right"]),
)
def test_search_in_ranges_is_searchsorted_in_each(ranges, side):
    values = np.array([v for part, _ in ranges for v in sorted(part)], dtype=int)
    offsets = offsets_from_lengths([len(part) for part, _ in ranges])
    needles = np.array([needle for _, needle in ranges])
    found = search_ranges(values, offsets[:-1], offsets[1:], needles, side)
    expected = [
        start + np.searchsorted(sorted(part), needle, side)
        for start, (part, needle) in zip(offsets, ranges, strict=False)
    ]
    assert found.tolist() == expected


def test_search_leaves_its_arguments_alone():
    starts, stops = np.array([0, 2]), np.array([2, 4])
    search_ranges(np.array([1, 2, 1, 2]), starts, stops, np.array([1, 5]), "right")
    assert starts.tolist() == [0, 2]
    assert stops.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (2, [2]),
        (-1, [3]),
        ([0, -4], [0, 0]),
        (slice(None, None, 2), [0, 2]),
        ([True, False, False, True], [0, 3]),
        (([1, 2], ...), [1, 2]),
        ([], []),
        (np.array([], dtype=bool)[:0].tolist(), []),
    ],
)
def test_positions_of_what_scikit_learn_indexes_with(key, expected):
    positions = resolve_index(key, 4, "Cohort")
    assert positions.tolist() == expected
    assert positions.dtype == np.int64


@pytest.mark.parametrize("key", [1.0, [0.5], "a", None, True, [[1]]])
def test_other_keys_say_what_is_accepted(key):
    with pytest.raises(IndexError, match="Cohort is indexed by samples with an integer, a slice"):
        resolve_index(key, 4, "Cohort")


@pytest.mark.parametrize("key", [(1, 2), (1, 2, ...), ([0, 1], 0)])
def test_samples_are_the_only_dimension(key):
    with pytest.raises(IndexError, match="Cohort has one dimension, its samples"):
        resolve_index(key, 4, "Cohort")


@pytest.mark.parametrize("key", [4, -5, [0, 4], [-5]])
def test_positions_out_of_bounds(key):
    with pytest.raises(IndexError, match="out of bounds for Cohort with 4 samples"):
        resolve_index(key, 4, "Cohort")
