"""Whom a split keeps together: a column of the samples, by default the patient."""

import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    PatientKFold,
    PatientShuffleSplit,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
    Vocabulary,
    make_visit_labels,
)


def make_cohort(n_persons=20, n_stays=3, **options):
    """Stays as patient keys, several of a person."""
    stay = np.arange(n_persons * n_stays)
    events = pd.DataFrame(
        {"patient_id": np.repeat(stay, 2), "time": np.tile([0, 1], len(stay)), "code": "A"}
    )
    samples = pd.DataFrame(
        {"patient_id": stay, "prediction_time": 5, "person": [f"p{i % n_persons}" for i in stay]}
    )
    return Cohort(events, samples, group="person", **options)


def test_groups_are_those_of_the_column():
    X = make_cohort(2, 2)
    assert X.groups.tolist() == ["p0", "p1", "p0", "p1"]
    assert X.patients.tolist() == [0, 1, 2, 3]
    assert X.group_positions.tolist() == [0, 1, 0, 1]
    assert X[[2, 1]].groups.tolist() == ["p0", "p1"]
    assert pickle.loads(pickle.dumps(X[[3, 1]])).groups.tolist() == ["p1", "p1"]
    assert X.n_patients == 4
    assert X.visible_events()["patient_id"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert VisitSequenceTransformer(min_frequency=1).fit_transform(X).groups.tolist() == [
        "p0",
        "p1",
        "p0",
        "p1",
    ]


@pytest.mark.parametrize(
    "splitter",
    [
        PatientKFold(3),
        StratifiedPatientKFold(3, shuffle=True, random_state=0),
        PatientShuffleSplit(3, test_size=0.3, random_state=0),
    ],
    ids=lambda splitter: type(splitter).__name__,
)
def test_splitters_keep_a_group_on_one_side(splitter):
    X = make_cohort()
    y = np.arange(len(X)) % 2
    for train, test in splitter.split(X, y):
        assert not set(X.groups[train]) & set(X.groups[test])


def test_validation_split_of_a_network_keeps_a_group_on_one_side(monkeypatch):
    from sklearn_ehr.estimators import _samples

    X = make_cohort()
    sides = []
    split = _samples.split_off_patients

    def record(y, groups, *arguments):
        kept, apart = split(y, groups, *arguments)
        sides.append((set(groups[kept]), set(groups[apart])))
        return kept, apart

    monkeypatch.setattr(_samples, "split_off_patients", record)
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(X)
    model = LSTMVisitClassifier(
        embedding_dim=2, hidden_dim=2, mlp_dim=0, max_epochs=1, validation_fraction=0.4
    )
    model.fit(sequences, np.arange(len(X)) % 2)
    ((kept, apart),) = sides
    assert kept
    assert apart
    assert not kept & apart


def test_rare_codes_are_counted_by_group():
    X = make_cohort(2, 5)
    with pytest.raises(ValueError, match="vocabulary is empty"):
        Vocabulary.from_cohort(X, min_frequency=3)
    assert Vocabulary.from_cohort(X, min_frequency=2).codes.tolist() == ["A"]


def test_labels_of_visits_find_their_patient_not_their_group():
    events = pd.DataFrame({"patient_id": [1, 2], "time": 0, "visit_id": [10, 20], "code": "A"})
    samples = pd.DataFrame({"patient_id": [1, 2], "prediction_time": 1, "person": "p"})
    labels = pd.DataFrame({"patient_id": [2, 1], "visit_id": [20, 10], "label": ["b", "a"]})
    y = make_visit_labels(Cohort(events, samples, group="person"), labels)
    assert [array.tolist() for array in y] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("group", "error", "message"),
    [
        ("ward", ValueError, r"samples has no column 'ward' \(parameter group\)"),
        ("null", ValueError, "'null' has 1 null value"),
        ("mixed", TypeError, "'mixed' mixes values of several types"),
        (["person"], TypeError, "group must be the name of a column, got a list"),
    ],
)
def test_bad_groups_are_refused(group, error, message):
    events = pd.DataFrame({"patient_id": [1, 2], "time": 0, "code": "A"})
    samples = pd.DataFrame(
        {"patient_id": [1, 2], "prediction_time": 1, "null": ["a", None], "mixed": ["a", 1]}
    )
    with pytest.raises(error, match=message):
        Cohort(events, samples, group=group)


def test_a_patient_in_several_groups_is_refused():
    events = pd.DataFrame({"patient_id": [1, 2], "time": 0, "code": "A"})
    samples = pd.DataFrame({"patient_id": [1, 1, 2], "prediction_time": 1, "stay": ["a", "b", "c"]})
    with pytest.raises(ValueError, match=r"'stay' \(parameter group\) puts 1 of 2 patients"):
        Cohort(events, samples, group="stay")
