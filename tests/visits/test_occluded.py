"""Histories without some of what they hold."""

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, VisitSequenceTransformer
from sklearn_ehr.utils import _ragged
from sklearn_ehr.visits import OccludedHistories, has_overlaps, without_visits

pytestmark = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")


def make_sequences():
    """Patient 1 with visits [a, b], [c]; patient 2 with none; patient 3 with [b]."""
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 2, 3],
            "visit_id": [11, 11, 12, 21, 31],
            "time": [0, 1, 5, 99, 3],
            "code": list("abcab"),
        }
    )
    samples = pd.DataFrame(
        {"patient_id": [1, 2, 3], "prediction_time": [9, 9, 9], "age": [50.0, 60.0, 70.0]}
    )
    cohort = Cohort(events, samples, features=["age"])
    return VisitSequenceTransformer(min_frequency=1).fit_transform(cohort)


def as_lists(sequences):
    tokens = np.split(sequences.tokens, sequences.visit_offsets[1:-1])
    visits = [visit.tolist() for visit in tokens][: len(sequences.is_static)]
    return [visits[i:j] for i, j in zip(*ends(sequences.sample_offsets), strict=True)]


def ends(offsets):
    return offsets[:-1], offsets[1:]


def test_each_history_lacks_one_token():
    a, b, c = 2, 3, 4
    histories = OccludedHistories(make_sequences())
    assert len(histories) == 4
    assert as_lists(histories[:]) == [[[b], [c]], [[a], [c]], [[a, b], []], [[]]]
    assert as_lists(histories[[3, 1, 1]]) == [[[]], [[a], [c]], [[a], [c]]]


def test_a_history_keeps_its_times_and_features():
    sequences = make_sequences()
    got = OccludedHistories(sequences)[[2, 3]]
    assert got.times_to_prediction.tolist() == [0, 4, 6]
    assert got.time_gaps.tolist() == [0, 4, 0]
    np.testing.assert_array_equal(got.features, sequences.features[[0, 2]])


def test_slices_cover_all_histories(monkeypatch):
    monkeypatch.setattr(_ragged, "_ELEMENTS_PER_BLOCK", 4)
    histories = OccludedHistories(make_sequences())
    slices = histories.slices()
    assert len(slices) > 1
    parts = [history for part in slices for history in as_lists(histories[part])]
    assert parts == as_lists(histories[:])
    assert OccludedHistories(make_sequences()[[1]]).slices() == []


def test_samples_without_visits_keep_their_features():
    sequences = make_sequences()
    emptied = without_visits(sequences)
    assert emptied.lengths.tolist() == [0, 0, 0]
    assert (len(emptied.tokens), len(emptied.visit_times)) == (0, 0)
    np.testing.assert_array_equal(emptied.features, sequences.features)


def test_overlaps_are_told_by_sample():
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 2, 2, 2, 3, 3, 3],
            "visit_id": [11, 11, 12, 21, 21, 22, 31, 31, 32],
            "time": [0, 5, 6, 0, 5, 5, 7, 9, 8],
            "code": "a",
        }
    )
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(events)
    assert has_overlaps(sequences).tolist() == [False, True, True]
    assert has_overlaps(sequences[[2, 0]]).tolist() == [True, False]
