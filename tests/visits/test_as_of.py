"""Which visits were there at the end of each visit, by hand."""

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, VisitSequenceTransformer
from sklearn_ehr.visits import N_SPECIAL
from sklearn_ehr.visits._as_of import (
    as_of_truncated,
    refuse_overlaps,
    truncated_visits,
    with_earlier,
)


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
    assert truncated_visits(truncated).tolist() == [1, 2, 3]
    histories = as_of_truncated(truncated, with_earlier(truncated))
    assert codes(histories) == ["sabc", "sbcd", "scde"]
    turned = truncated[[1, 0, 0]]
    assert truncated_visits(turned).tolist() == [2, 3, 4, 6, 7, 8]
    assert codes(as_of_truncated(turned, with_earlier(turned))) == 2 * ["sabc", "sbcd", "scde"]


def test_short_histories_begin_where_they_begin():
    events = pd.DataFrame({"patient_id": 1, "time": [1, 2, 3], "code": list("abc")})
    sequences = VisitSequenceTransformer(min_frequency=1, max_visits=2).fit_transform(events)
    histories = as_of_truncated(sequences, with_earlier(sequences))
    assert codes(histories) == ["ab", "bc"]


def test_static_visit_overlaps_with_nothing(truncated):
    refuse_overlaps(with_earlier(truncated))


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
