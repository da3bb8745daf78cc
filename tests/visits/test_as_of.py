"""Which visits were there at the end of each visit, by hand."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, VisitSequenceTransformer
from sklearn_ehr.visits import N_SPECIAL, TruncatedHistories, has_overlaps, with_earlier


@pytest.fixture
def truncated():
    """Codes of patient 1's visits: static s, then a to e, of which c to e are kept; of 2's: a."""
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 1, 1, 1, 2],
            "time": [np.nan, 1, 2, 3, 4, 5, 1],
            "code": list("sabcdea"),
        }
    )
    cohort = Cohort(events, null_time="static")
    return VisitSequenceTransformer(min_frequency=1, max_visits=3).fit_transform(cohort)


def codes(sequences):
    """Codes of each sample, as text; each visit here has one."""
    text = "".join(sequences.vocabulary.codes[sequences.tokens - N_SPECIAL])
    offsets = sequences.sample_offsets
    return [text[offsets[i] : offsets[i + 1]] for i in range(len(sequences))]


def test_truncation_keeps_what_it_leaves_out_apart(truncated):
    assert codes(truncated) == ["scde", "a"]
    assert codes(truncated.earlier) == ["ab", ""]
    assert codes(truncated[[1, 0, 1]].earlier) == ["", "ab", ""]
    assert codes(with_earlier(truncated)) == ["sabcde", "a"]
    assert codes(with_earlier(truncated[[1, 0]])) == ["a", "sabcde"]
    assert with_earlier(truncated).visit_times[:, 0].tolist()[1:] == [1, 2, 3, 4, 5, 1]


def test_truncated_histories_are_as_long_at_every_end(truncated):
    histories = TruncatedHistories(truncated, with_earlier(truncated))
    assert (histories.visits.tolist(), histories.lengths.tolist()) == ([1, 2, 3], [4, 4, 4])
    assert codes(histories[:]) == ["sabc", "sbcd", "scde"]
    assert codes(histories[[2, 0]]) == ["scde", "sabc"]
    turned = truncated[[1, 0, 0]]
    histories = TruncatedHistories(turned, with_earlier(turned))
    assert histories.visits.tolist() == [2, 3, 4, 6, 7, 8]
    assert codes(histories[:]) == 2 * ["sabc", "sbcd", "scde"]


def test_short_histories_begin_where_they_begin():
    events = pd.DataFrame({"patient_id": 1, "time": [1, 2, 3], "code": list("abc")})
    sequences = VisitSequenceTransformer(min_frequency=1, max_visits=2).fit_transform(events)
    histories = TruncatedHistories(sequences, with_earlier(sequences))
    assert codes(histories[:]) == ["ab", "bc"]
    assert histories.lengths.tolist() == [2, 2]


def test_nothing_is_cut_short_without_max_visits(truncated):
    whole = with_earlier(truncated)
    assert len(TruncatedHistories(whole, whole)) == 0


@pytest.mark.parametrize("max_visits", [1, 2, 5])
def test_histories_are_those_of_a_slow_look_at_each_visit(max_visits):
    rng = np.random.default_rng(max_visits)
    n_events = 300
    events = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 25, n_events),
            "time": rng.integers(0, 40, n_events).astype(float),
            "code": rng.choice(list("abcdefgh"), n_events),
        }
    )
    events.loc[rng.random(n_events) < 0.05, "time"] = np.nan
    cohort = Cohort(events, null_time="static")
    all_visits = VisitSequenceTransformer(min_frequency=1).fit_transform(cohort)
    cut = VisitSequenceTransformer(min_frequency=1, max_visits=max_visits).fit_transform(cohort)
    wanted = []
    for patient in range(len(cohort)):
        one = all_visits[patient]
        static = np.flatnonzero(one.is_static).tolist()
        dated = np.flatnonzero(~one.is_static).tolist()
        if len(dated) <= max_visits:
            continue
        for end in range(len(dated) - max_visits, len(dated)):
            kept = dated[: end + 1][-max_visits:]
            wanted.append([patient, *[tokens_and_times(one, v) for v in static + kept]])
    histories = TruncatedHistories(cut, with_earlier(cut))
    assert len(histories) == len(wanted) > 20
    sample = np.repeat(np.arange(len(cut)), cut.lengths)[histories.visits]
    order = rng.permutation(len(wanted))
    for i, j in enumerate(order):
        got = histories[order][i]
        visits = [tokens_and_times(got, v) for v in range(got.lengths[0])]
        assert [sample[j], *visits] == wanted[j]
        assert histories.lengths[j] == got.lengths[0]


def tokens_and_times(sequences, visit):
    tokens = sequences.tokens[slice(*sequences.visit_offsets[[visit, visit + 1]])]
    return tokens.tolist(), np.nan_to_num(sequences.visit_times[visit], nan=-1).tolist()


def test_histories_are_built_a_few_at_a_time():
    n = 20_000
    events = pd.DataFrame({"patient_id": 1, "time": np.arange(n), "code": "a"})
    sequences = VisitSequenceTransformer(min_frequency=1, max_visits=n // 2).fit_transform(events)
    whole = with_earlier(sequences)
    tracemalloc.start()
    histories = TruncatedHistories(sequences, whole)
    assert histories[[0, 5, 9]].lengths.tolist() == [n // 2] * 3
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All of them together repeat a visit ten thousand times.
    assert len(histories) == n // 2
    assert peak < 400 * n


def test_static_visit_overlaps_with_nothing(truncated):
    assert not has_overlaps(with_earlier(truncated)).any()


def test_visit_ids_and_known_times_go_with_their_visits():
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 1],
            "time": [4, 1, 2, 9],
            "known_time": [5, 3, 2, 9],
            "visit_id": [12, 11, 11, None],
            "code": list("abcd"),
        }
    ).astype({"visit_id": "Int64"})
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(events)
    assert sequences.visit_ids.tolist() == [11, 12, None]
    assert sequences.visit_times.tolist() == [[1, 2], [4, 4], [9, 9]]
    assert sequences.known_times.tolist() == [[2, 3], [5, 5], [9, 9]]
    assert sequences[[0, 0]].visit_ids.tolist() == [11, 12, None, 11, 12, None]
    by_time = VisitSequenceTransformer(min_frequency=1, visits="time").fit_transform(events)
    assert by_time.visit_ids is None


def test_ids_beyond_floats_stay_exact():
    large = 2**53 + 1
    events = pd.DataFrame(
        {"patient_id": 1, "time": [1, 2], "visit_id": [large, None], "code": ["a", "b"]}
    )
    events["visit_id"] = pd.array([large, None], dtype="Int64")
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(events)
    assert sequences.visit_ids.tolist() == [large, None]
