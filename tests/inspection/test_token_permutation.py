"""Exchange of codes between samples, against a slow literal reference."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import Cohort, VisitSequences, VisitSequenceTransformer
from sklearn_ehr.inspection._token_permutation import TokenPermutation


def as_lists(sequences):
    """Histories as lists of visits, each a sorted list of tokens."""
    visits = [
        sorted(part.tolist()) for part in np.split(sequences.tokens, sequences.visit_offsets[1:-1])
    ]
    return [visits[start:stop] for start, stop in pairwise(sequences.sample_offsets)]


def as_ragged(histories, static=None):
    """Sequences of lists of visits; where `static`, the first visit of a sample has no time."""
    visits = [visit for history in histories for visit in history]
    times = np.arange(2.0 * len(visits)).reshape(-1, 2)
    if static is not None:
        offsets = np.cumsum([0, *map(len, histories)])
        times[[at for at, is_one in zip(offsets, static, strict=False) if is_one]] = np.nan
    return VisitSequences(
        np.array([token for visit in visits for token in visit], dtype=np.int32),
        np.cumsum([0, *map(len, visits)]),
        np.cumsum([0, *map(len, histories)]),
        visit_times=times,
    )


def permute_slowly(histories, static, group, donors):
    """The definition: sample `i` gets the tokens of the group of sample ``donors[i]``."""
    permuted = []
    for i, donor in enumerate(donors):
        history = [[token for token in visit if token not in group] for visit in histories[i]]
        n = len(history)
        first_dated = min(int(static[i]), n - 1)
        seen = [set() for _ in history]
        # From the last visit back, so that the first visit gets those of the latest visit.
        for k, visit in reversed(list(enumerate(histories[donor]))):
            if not n:
                break
            if static[donor] and k == 0:
                place = 0
            else:
                place = max(n - len(histories[donor]) + k, first_dated)
            given_here = [t for t in visit if t in group and t not in seen[place]]
            history[place] += given_here
            seen[place] |= set(given_here)
        permuted.append([sorted(visit) for visit in history])
    return permuted


histories_of = st.lists(
    st.lists(st.lists(st.integers(2, 6), max_size=4), max_size=4), min_size=1, max_size=6
)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), histories=histories_of, group=st.sets(st.integers(2, 7)))
def test_permuted_tokens_are_those_of_the_definition(data, histories, group):
    n = len(histories)
    static = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    static = [flag and bool(history) for flag, history in zip(static, histories, strict=True)]
    donors = np.array(data.draw(st.permutations(range(n))))
    sequences = as_ragged(histories, static)
    permutation = TokenPermutation(sequences)
    positions = permutation.positions_of(sorted(group))
    permuted, changed = permutation.permute(positions, donors)
    expected = permute_slowly(histories, static, group, donors)
    assert as_lists(permuted) == expected
    unequal = {i for i in range(n) if expected[i] != list(map(sorted, histories[i]))}
    assert unequal <= set(changed.tolist())
    assert permuted.visit_offsets[-1] == len(permuted.tokens)
    assert permuted.tokens.dtype == np.int32


def test_code_is_placed_at_the_same_visit_counted_from_the_last():
    sequences = as_ragged([[[9], [5], [3]], [[4], [4], [4], [4]]])
    permutation = TokenPermutation(sequences)
    permuted, changed = permutation.permute(permutation.positions_of([5]), np.array([1, 0]))
    assert as_lists(permuted) == [[[9], [], [3]], [[4], [4], [4, 5], [4]]]
    assert changed.tolist() == [0, 1]


def test_earlier_visits_go_to_the_first_one_each_code_once():
    sequences = as_ragged([[[5, 6], [5], [3], [3]], [[4]], []])
    permutation = TokenPermutation(sequences)
    positions = permutation.positions_of([5, 6])
    permuted, _ = permutation.permute(positions, np.array([2, 0, 1]))
    assert as_lists(permuted) == [[[], [], [3], [3]], [[4, 5, 6]], []]


def test_repeats_within_a_visit_are_kept():
    sequences = as_ragged([[[5, 5]], [[4]]])
    permutation = TokenPermutation(sequences)
    permuted, _ = permutation.permute(permutation.positions_of([5]), np.array([1, 0]))
    assert as_lists(permuted) == [[[]], [[4, 5, 5]]]


def test_static_code_stays_in_the_static_visit():
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 2, 2, 2],
            "time": pd.to_datetime([None, "2020-01-01", None, "2020-01-01", "2020-02-01"]),
            "code": ["F", "I10", "M", "I10", "I10"],
        }
    )
    transformer = VisitSequenceTransformer(min_frequency=1)
    sequences = transformer.fit_transform(Cohort(events, null_time="static"))
    permutation = TokenPermutation(sequences)
    ids = transformer.vocabulary_.encode(["F", "M"])
    permuted, _ = permutation.permute(permutation.positions_of(ids), np.array([1, 0]))
    codes = [transformer.vocabulary_.decode(visits[0]).tolist() for visits in as_lists(permuted)]
    assert codes == [["M"], ["F"]]


def test_occurrences_are_conserved_where_histories_are_long_enough():
    rng = np.random.default_rng(0)
    histories = [[rng.integers(2, 9, 3).tolist() for _ in range(5)] for _ in range(40)]
    sequences = as_ragged(histories)
    permutation = TokenPermutation(sequences)
    group = [4, 7]
    permuted, _ = permutation.permute(permutation.positions_of(group), rng.permutation(40))
    for found, expected in zip(as_lists(permuted), histories, strict=True):
        rest = [sorted(t for t in visit if t not in group) for visit in expected]
        assert [[t for t in visit if t not in group] for visit in found] == rest
    # Also by visit counted from the last, as all histories are equally long.
    for k in range(5):
        for code in group:
            before = sum(history[k].count(code) for history in histories)
            assert sum(history[k].count(code) for history in as_lists(permuted)) == before


def test_everything_else_of_the_sequences_stays():
    sequences = as_ragged([[[5], [3]], [[4]]])
    sequences.groups = np.array(["a", "b"])
    permutation = TokenPermutation(sequences)
    permuted, _ = permutation.permute(permutation.positions_of([5]), np.array([1, 0]))
    assert permuted.sample_offsets is sequences.sample_offsets
    assert permuted.visit_times is sequences.visit_times
    assert permuted.groups is sequences.groups
    assert as_lists(sequences) == [[[5], [3]], [[4]]]


@pytest.mark.parametrize("ids", [[], [8], [10**6]])
def test_codes_that_nobody_has_change_nothing(ids):
    sequences = as_ragged([[[5], [3]], [[4]]])
    permutation = TokenPermutation(sequences)
    positions = permutation.positions_of(np.array(ids, dtype=np.int64))
    permuted, changed = permutation.permute(positions, np.array([1, 0]))
    assert as_lists(permuted) == as_lists(sequences)
    assert changed.tolist() == []
