"""What a fitted estimator says that it needs, and that it checks all of it."""

import json
import pickle
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequenceTransformer,
)

VERSIONS = {
    name: version(name)
    for name in ["sklearn_ehr", "numpy", "pandas", "scikit-learn", "skorch", "torch"]
}
EVENTS = pd.DataFrame(
    {
        "patient_id": np.repeat(np.arange(6), 2),
        "time": np.arange(12),
        "code": ["A", "B", "C"] * 4,
    }
)
SAMPLES = pd.DataFrame({"patient_id": np.arange(6), "age": [30, 40, 50, 60, 70, np.nan]})
Y = np.array([0, 1, 0, 1, 0, 1])


def sequences_of(events=EVENTS, features=("age",)):
    X = Cohort(events, SAMPLES, prediction_time=None, features=features)
    return VisitSequenceTransformer(min_frequency=1).fit_transform(X)


def tiny(Estimator=LSTMVisitClassifier, **params):
    params = {"embedding_dim": 2, "hidden_dim": 2, "max_epochs": 1} | params
    return Estimator(early_stopping=False, device="cpu", random_state=0, **params)


@pytest.fixture(scope="module")
def fitted():
    return tiny(time_gaps=True).fit(sequences_of(), Y)


def test_needs_of_a_classifier(fitted):
    assert fitted.needs == {
        "features": ["age", "missingindicator_age"],
        "time_gaps": True,
        "vocabulary_size": 3,
        "versions": VERSIONS,
    }
    assert list(fitted.needs) == ["features", "time_gaps", "vocabulary_size", "versions"]
    assert json.loads(json.dumps(fitted.needs)) == fitted.needs


@pytest.mark.parametrize(
    ("Estimator", "y"),
    [
        (LSTMVisitRegressor, Y + 0.5),
        (LSTMVisitSurvival, np.rec.fromarrays([Y == 1, Y + 1.0], names=["event", "time"])),
        (LSTMVisitTagger, [np.array([0, 1])] * 6),
    ],
)
def test_needs_of_other_estimators(Estimator, y):
    assert tiny(Estimator).fit(sequences_of(features=()), y).needs == {
        "features": [],
        "time_gaps": False,
        "vocabulary_size": 3,
        "versions": VERSIONS,
    }


def test_needs_of_the_last_step_of_a_pipeline():
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), tiny()).fit(Cohort(EVENTS), Y)
    assert model[0].needs["vocabulary_size"] == model[-1].needs["vocabulary_size"] == 3


def test_padded_codes_bring_no_vocabulary():
    model = tiny().partial_fit([[[2, 3]], [[4, 0]]], [0, 1], classes=[0, 1])
    assert model.needs["vocabulary_size"] is None
    assert model.needs["features"] == []


def test_needs_are_those_of_the_network_that_was_fitted(fitted):
    again = pickle.loads(pickle.dumps(fitted)).set_params(time_gaps=False)
    assert again.needs == fitted.needs


def test_features_are_asked_for(fitted):
    with pytest.raises(ValueError, match=r"X has the features None.*'missingindicator_age'"):
        fitted.predict(sequences_of(features=()))


def test_vocabulary_is_asked_for(fitted):
    other = EVENTS.assign(code=["A", "B", "C", "D"] * 3)
    with pytest.raises(ValueError, match="X has another vocabulary"):
        fitted.predict(sequences_of(other))


def test_times_are_asked_for(fitted):
    without = EVENTS.rename(columns={"time": "visit_id"})
    with pytest.raises(ValueError, match="These sequences have no times"):
        fitted.predict(sequences_of(without))


def test_versions_are_asked_for_when_a_saved_estimator_is_loaded():
    model = tiny().fit(sequences_of(), Y)
    model._versions = {"torch": "1.0.0"}
    with pytest.warns(UserWarning, match=r"torch 1\.0\.0"):
        again = pickle.loads(pickle.dumps(model))
    assert again.needs["versions"] == {"torch": "1.0.0"}


def test_unfitted_estimators_have_no_needs():
    with pytest.raises(NotFittedError, match="This LSTMVisitClassifier instance is not fitted"):
        tiny().needs  # noqa: B018
    assert not hasattr(tiny(), "needs")


def test_needs_are_read_only(fitted):
    fitted.needs["features"].clear()
    assert fitted.needs["features"] == ["age", "missingindicator_age"]
    with pytest.raises(AttributeError):
        fitted.needs = {}
