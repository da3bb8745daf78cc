import copy
import pickle
import tracemalloc
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_ehr import VisitSequences, Vocabulary

NAT = np.datetime64("NaT")


def example():
    """Three samples: two visits (the second empty), none, one visit."""
    return VisitSequences(
        np.array([2, 3, 4], dtype=np.int32),
        np.array([0, 2, 2, 3]),
        np.array([0, 2, 2, 3]),
        visit_times=np.array([[1, 2], [3, 5], [4, 4]]),
        groups=np.array(["a", "b", "a"]),
        vocabulary=Vocabulary(["x", "y", "z"]),
    )


def assert_same(left, right):
    for name in ["tokens", "visit_offsets", "sample_offsets", "visit_times", "groups"]:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert left.tokens.dtype == right.tokens.dtype
    assert left.vocabulary == right.vocabulary


def with_times(times, visits_per_sample):
    n_visits = len(times)
    return VisitSequences(
        np.full(n_visits, 2, dtype=np.int32),
        np.arange(n_visits + 1),
        np.append(0, np.cumsum(visits_per_sample)),
        visit_times=np.array(times),
    )


def test_to_padded_pads_with_zero_and_masks_tell_empty_visits_from_padding():
    padded = example().to_padded()
    assert padded._fields == ("codes", "mask", "visit_mask")
    codes, mask, visit_mask = padded
    assert (codes.dtype, mask.dtype, visit_mask.dtype) == (np.int64, bool, bool)
    assert codes.tolist() == [[[2, 3], [0, 0]], [[0, 0], [0, 0]], [[4, 0], [0, 0]]]
    assert mask.tolist() == [
        [[True, True], [False, False]],
        [[False, False], [False, False]],
        [[True, False], [False, False]],
    ]
    assert visit_mask.tolist() == [[True, True], [False, False], [True, False]]


@pytest.mark.parametrize(("key", "shape"), [([1], (1, 0, 0)), ([], (0, 0, 0))])
def test_samples_without_visits_pad_to_nothing(key, shape):
    codes, mask, visit_mask = example()[key].to_padded()
    assert codes.shape == mask.shape == shape
    assert visit_mask.shape == shape[:2]


def peak_bytes_of(function):
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("key", [[7, 999_999, 7], slice(10, 14), 3, slice(-1, -4, -1)])
def test_taking_a_few_samples_costs_by_the_few(key):
    n = 1_000_000
    many = VisitSequences(
        np.full(n, 2, dtype=np.int32),
        np.arange(n + 1),
        np.arange(n + 1),
        visit_times=np.zeros((n, 2)),
        prediction_times=np.zeros(n),
        groups=np.arange(n),
    )
    # One array of a byte a sample would take a million.
    assert peak_bytes_of(lambda: many[key]) < 20_000


def test_len_shape_and_repr():
    assert len(example()) == 3
    assert example().shape == (3,)
    assert repr(example()) == "VisitSequences(n_samples=3, n_visits=3, n_tokens=3)"


@pytest.mark.parametrize(
    ("key", "positions"),
    [
        (np.array([2, 0, 2]), [2, 0, 2]),
        ([2, 0], [2, 0]),
        (np.array([-1]), [2]),
        (np.array([True, False, True]), [0, 2]),
        ([False, True, False], [1]),
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        (1, [1]),
        (-1, [2]),
        (np.int64(0), [0]),
        (([0, 2], ...), [0, 2]),
        ([], []),
    ],
)
def test_indexing_selects_samples(key, positions):
    visits = [[[2, 3], []], [], [[4]]]
    times = [[[1, 2], [3, 5]], [], [[4, 4]]]
    selected = example()[key]
    offsets = selected.sample_offsets
    assert len(selected) == len(positions)
    for i, position in enumerate(positions):
        own = range(offsets[i], offsets[i + 1])
        ends = selected.visit_offsets
        assert [selected.tokens[ends[v] : ends[v + 1]].tolist() for v in own] == visits[position]
        assert selected.visit_times[offsets[i] : offsets[i + 1]].tolist() == times[position]
    assert selected.tokens.dtype == np.int32
    assert selected.groups.tolist() == [["a", "b", "a"][p] for p in positions]
    assert selected.vocabulary == example().vocabulary


@pytest.mark.parametrize(
    "key", [3, -4, [0, 3], [True, False], [0.5], [[0, 1]], "a", ([0], [1]), True, None]
)
def test_what_is_no_sample_is_an_index_error(key):
    with pytest.raises(IndexError):
        example()[key]


def test_iteration_ends():
    assert [len(sample.tokens) for sample in example()] == [2, 0, 1]


def test_without_groups_times_and_vocabulary_none_are_carried():
    selected = VisitSequences.from_padded([[[2]], [[3]]])[[1]]
    assert selected.tokens.tolist() == [3]
    assert (selected.groups, selected.visit_times, selected.vocabulary) == (None, None, None)


def test_asarray_is_a_type_error_that_names_the_way_out():
    way_out = r"VisitSequences holds .* CodeCountVectorizer .* to_padded\(\)"
    with pytest.raises(TypeError, match=way_out):
        np.asarray(example())
    with pytest.raises(IndexError, match=way_out):
        example().shape[1]


def test_pickle_and_copy_keep_everything():
    assert_same(pickle.loads(pickle.dumps(example())), example())
    assert_same(pickle.loads(pickle.dumps(example()[[2, 0]])), example()[[2, 0]])
    assert_same(copy.deepcopy(example()), example())


def test_subset_does_not_share_memory_with_the_whole():
    whole = example()
    whole[[0]].tokens[:] = 9
    assert whole.tokens.tolist() == [2, 3, 4]


def test_time_gap_goes_from_the_last_event_before_to_the_first_of_a_visit():
    times = [[1, 4], [6, 6], [13, 20], [2, 3], [7, 8]]
    assert with_times(times, [3, 0, 2, 0]).time_gaps.tolist() == [0, 2, 7, 0, 4]


def test_time_gaps_of_datetimes_are_days():
    times = pd.to_datetime(["2020-01-01 00", "2020-01-03 12", "2020-01-04 00", "2020-03-01 00"])
    gaps = with_times(times.to_numpy().reshape(2, 2), [2]).time_gaps
    assert gaps.dtype == np.float64
    assert gaps.tolist() == [0, 0.5]


def test_times_in_nanoseconds_may_lie_further_apart_than_a_difference_of_them_can():
    times = np.array([["1700-01-01"] * 2, ["2020-01-01"] * 2], dtype="datetime64[ns]")
    gaps = with_times(times, [2]).time_gaps
    assert gaps.tolist() == [0, (date(2020, 1, 1) - date(1700, 1, 1)).days]


def test_gaps_between_integer_times_may_be_longer_than_half_of_all_integers():
    times = np.array([[-(2**62)] * 2, [2**62 + 7] * 2, [2**62 + 8] * 2])
    assert with_times(times, [3]).time_gaps.tolist() == [0, 2.0**63, 1]


def test_prediction_times_may_be_in_another_unit_than_visit_times():
    """Of a birth three centuries ago, and a prediction that nanoseconds cannot hold."""
    times = np.array([["1851-03-01T06"] * 2, ["2151-03-02T18"] * 2], "datetime64[s]")
    sequences = with_times(times, [1, 1])
    sequences.prediction_times = np.array(["1851-03-02T12", "2151-03-03T00"], "datetime64[ns]")
    assert sequences.times_to_prediction.tolist() == [1.25, 0.25]
    sequences.prediction_times = np.array(["9999-12-31T06", "2151-03-01"], "datetime64[s]")
    far = (date(9999, 12, 31) - date(1851, 3, 1)).days
    assert sequences.times_to_prediction.tolist() == [far, 0]
    sequences.known_times = times.astype("datetime64[us]") + np.timedelta64(6, "h")
    assert sequences.waits_by_visit().tolist() == [0.25, 0.25]


def test_time_gap_of_overlapping_visits_is_zero():
    assert with_times([[1, 6], [3, 9], [9.5, 10]], [3]).time_gaps.tolist() == [0, 0, 0.5]


@pytest.mark.parametrize("null", [np.nan, NAT])
def test_time_gap_of_a_static_visit_and_the_one_after_is_zero(null):
    days = [[5, 6], [8, 8]]
    if null is NAT:
        days = np.array(days).astype("datetime64[D]").astype("datetime64[ns]")
    sequences = with_times(np.array([[null, null], *days]), [3])
    assert sequences.time_gaps.tolist() == [0, 0, 2]
    assert sequences.is_static.tolist() == [True, False, False]


def test_time_gaps_without_visits_are_none():
    assert with_times(np.zeros((0, 2)), [0, 0]).time_gaps.tolist() == []


def test_time_gaps_need_times():
    sequences = VisitSequences.from_padded([[[2]]])
    with pytest.raises(ValueError, match="no times"):
        sequences.time_gaps  # noqa: B018
    assert sequences.is_static.tolist() == [False]


def test_from_padded_takes_non_zero_codes_by_default():
    sequences = VisitSequences.from_padded([[[2, 0, 3], [0, 4, 0]]])
    assert sequences.tokens.tolist() == [2, 3, 4]
    assert sequences.tokens.dtype == np.int32
    assert sequences.visit_offsets.tolist() == [0, 2, 3]
    assert sequences.sample_offsets.tolist() == [0, 2]


def test_from_padded_mask_hides_codes():
    sequences = VisitSequences.from_padded([[[2, 3], [4, 5]]], [[[True, False], [True, True]]])
    assert sequences.tokens.tolist() == [2, 4, 5]
    assert sequences.visit_offsets.tolist() == [0, 1, 3]


def test_from_padded_trailing_visits_are_padding_and_inner_ones_empty():
    codes = [[[0], [2], [0], [3], [0]], [[0]] * 5]
    sequences = VisitSequences.from_padded(codes)
    assert sequences.visit_offsets.tolist() == [0, 0, 1, 1, 2]
    assert sequences.sample_offsets.tolist() == [0, 4, 4]


def test_from_padded_visit_mask_decides_which_visits_are_padding():
    codes = [[[0], [2], [0]], [[0], [0], [0]]]
    sequences = VisitSequences.from_padded(codes, visit_mask=[[0, 1, 1], [1, 0, 0]])
    assert sequences.visit_offsets.tolist() == [0, 1, 1, 1]
    assert sequences.sample_offsets.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("codes", "mask", "visit_mask", "error", "message"),
    [
        (
            [[2]],
            None,
            None,
            ValueError,
            r"\(n_samples, n_visits, n_codes\); got a list of shape \(1, 1\)",
        ),
        ([[[2]], [[2], [3]]], None, None, ValueError, r"got a list of arrays of unequal shapes"),
        ([[[2.0]]], None, None, TypeError, "integers, got dtype float64"),
        ([[[True]]], None, None, TypeError, "integers, got dtype bool"),
        ([[["I10"]]], None, None, TypeError, "integers"),
        ([[[-1]]], None, None, ValueError, "positive"),
        ([[[2**31]]], None, None, ValueError, "int32"),
        ([[[0]]], [[[True]]], None, ValueError, "0 stands for padding"),
        ([[[2]]], [[True]], None, ValueError, r"mask must have the shape \(1, 1, 1\)"),
        ([[[2]]], [[[1.0]]], None, TypeError, "mask must be boolean, got dtype float64"),
        ([[[2]]], None, [True], ValueError, r"visit_mask must have the shape \(1, 1\)"),
        ([[[2]]], None, [["yes"]], TypeError, "visit_mask must be boolean"),
        ([[[2]]], None, [[False]], ValueError, "marks visits as padding that have codes"),
    ],
)
def test_from_padded_refuses_contradictions(codes, mask, visit_mask, error, message):
    with pytest.raises(error, match=message):
        VisitSequences.from_padded(codes, mask, visit_mask)


def test_from_padded_hidden_codes_do_not_contradict_a_padded_visit():
    sequences = VisitSequences.from_padded([[[2], [3]]], [[[1], [0]]], [[1, 0]])
    assert sequences.tokens.tolist() == [2]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.lists(st.integers(1, 2**31 - 1), max_size=3), max_size=3), max_size=4))
def test_from_padded_goes_back_from_to_padded(samples):
    visits = [visit for sample in samples for visit in sample]
    sequences = VisitSequences(
        np.array([token for visit in visits for token in visit], dtype=np.int32),
        np.append(0, np.cumsum([len(v) for v in visits], dtype=int)),
        np.append(0, np.cumsum([len(s) for s in samples], dtype=int)),
    )
    padded = sequences.to_padded()
    assert padded.codes.shape == (
        len(samples),
        max(map(len, samples), default=0),
        max(map(len, visits), default=0),
    )
    assert_same(VisitSequences.from_padded(*padded), sequences)
