"""Sequences on disk: mapped, and as in memory."""

import pickle
from copy import copy, deepcopy

import numpy as np
import pandas as pd
import pytest
from same import assert_same_sequences
from sklearn.model_selection import cross_val_score

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitTagger,
    PatientKFold,
    VisitSequences,
    VisitSequenceTransformer,
    make_next_visit_labels,
)
from sklearn_ehr.datasets import make_visits

pytest.importorskip("filelock", reason="filelock comes with the extra store")

X, Y = make_visits(150, random_state=0)
Y = Y.to_numpy()
SETTINGS = {"hidden_dim": 8, "embedding_dim": 8, "max_epochs": 2, "random_state": 0}


def few_events():
    return pd.DataFrame(
        {
            "patient_id": ["a", "a", "b", "b", "é"],
            "visit_id": ["v1", None, "v1", "v2", "ü"],
            "time": pd.to_datetime(["2020-01-01"] * 3 + ["2020-03-05", "2021-01-01"]),
            "known_time": pd.to_datetime(["2020-01-02"] * 3 + ["2020-03-06", "2021-01-01"]),
            "code": list("xyxyz"),
        }
    )


def texts():
    samples = pd.DataFrame(
        {
            "patient_id": ["b", "a", "nobody"],
            "prediction_time": pd.to_datetime(["2020-06-01"] * 3),
            "age": [50, np.nan, 70],
        }
    )
    cohort = Cohort(few_events(), samples, features=["age"])
    return VisitSequenceTransformer(min_frequency=1).fit_transform(cohort)


def numbered():
    """Visit ids that are integers, but for one that is null."""
    events = few_events().assign(visit_id=pd.array([5, None, 5, 2**60, 7], dtype="Int64"))
    return VisitSequenceTransformer(min_frequency=1).fit_transform(Cohort(events))


CASES = {
    "numbered": numbered,
    "simulated": lambda: VisitSequenceTransformer(min_frequency=2).fit_transform(X),
    "cut": lambda: VisitSequenceTransformer(min_frequency=2, max_visits=3).fit_transform(X),
    "texts": texts,
    "padded": lambda: VisitSequences.from_padded([[[2, 3], [4, 0]], [[5, 0], [0, 0]]]),
    "empty": lambda: CASES["simulated"]()[:0],
}


@pytest.fixture
def pair(tmp_path):
    sequences = CASES["simulated"]()
    sequences.save(tmp_path / "sequences")
    return VisitSequences.open(tmp_path / "sequences"), sequences


@pytest.mark.parametrize("case", CASES)
def test_opened_sequences_are_those_saved(case, tmp_path):
    sequences = CASES[case]()
    sequences.save(tmp_path / "sequences")
    assert_same_sequences(VisitSequences.open(tmp_path / "sequences", verify=True), sequences)


def test_subsets_copies_and_changes_are_those_of_memory(pair):
    ours, theirs = pair
    for part in (slice(5, 50), [3, 3, 1], np.arange(150) % 2 == 0):
        assert_same_sequences(ours[part], theirs[part])
        assert_same_sequences(pickle.loads(pickle.dumps(ours[part])), theirs[part])
    for same in (copy(ours), deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert_same_sequences(same, theirs)
    np.testing.assert_array_equal(ours.to_padded().codes, theirs.to_padded().codes)


def test_pickles_carry_the_path(pair):
    ours, theirs = pair
    assert len(pickle.dumps(ours)) < 500 < len(pickle.dumps(theirs))


def test_changed_copy_is_pickled_as_it_is(pair):
    ours, _ = pair
    other = copy(ours)
    other.tokens = np.full_like(ours.tokens, 2)
    assert (pickle.loads(pickle.dumps(other)).tokens == 2).all()
    ours.groups = np.arange(150) + 1000
    for same in (pickle.loads(pickle.dumps(ours)), deepcopy(ours)):
        assert same.groups[0] == 1000


@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_on_mapped_sequences_ends_in_the_same_bits(pair, early_stopping):
    models = [
        LSTMVisitClassifier(early_stopping=early_stopping, **SETTINGS).fit(sequences, Y)
        for sequences in pair
    ]
    ours, theirs = (m.predict_proba(s) for m, s in zip(models, pair, strict=True))
    np.testing.assert_array_equal(ours, theirs)


def test_labels_of_visits_are_trained_on_as_in_memory(pair):
    y, _ = make_next_visit_labels(X, groups={"C001": "a", "C002": "b"})
    models = [LSTMVisitTagger(**SETTINGS).fit(sequences, y) for sequences in pair]
    ours, theirs = (m.predict_proba(pair[1]) for m in models)
    assert all(np.array_equal(*both) for both in zip(ours, theirs, strict=True))


def test_worker_processes_map_them(pair):
    model = LSTMVisitClassifier(early_stopping=False, **SETTINGS)
    ours, theirs = (
        cross_val_score(model, sequences, Y, cv=PatientKFold(3), n_jobs=n_jobs)
        for sequences, n_jobs in zip(pair, (2, None), strict=True)
    )
    np.testing.assert_allclose(ours, theirs)


def test_stores_of_another_kind_or_place_are_told(pair, tmp_path):
    ours, theirs = pair
    with pytest.raises(ValueError, match="holds a store already"):
        theirs.save(tmp_path / "sequences")
    content = pickle.dumps(ours)
    (tmp_path / "sequences").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="If the store was moved"):
        pickle.loads(content)
    with pytest.raises(FileNotFoundError, match="There is no directory"):
        VisitSequences.open(tmp_path / "sequences")
