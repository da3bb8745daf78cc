import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

TINY = {
    "embedding_dim": 8,
    "hidden_dim": 8,
    "max_epochs": 2,
    "random_state": 0,
    "device": "cpu",
}


def cohort_of_ages(n_samples, seed=0, missing=0.0):
    """A cohort whose codes say nothing, and log-odds that are linear in age."""
    X, _ = make_visits(n_samples, random_state=seed)
    rng = np.random.default_rng(seed)
    samples = X.samples.assign(age=rng.normal(60, 15, n_samples), score=rng.normal(size=n_samples))
    log_odds = (samples["age"] - 60) / 15 - 1
    samples.loc[rng.random(n_samples) < missing, "age"] = np.nan
    y = (rng.random(n_samples) < 1 / (1 + np.exp(-log_odds))).astype(int)
    kwargs = {} if X.prediction_times is not None else {"prediction_time": None}
    cohort = Cohort(X.event_table, samples, features=["age", "score"], **kwargs)
    return cohort, y.to_numpy(), log_odds.to_numpy()


@pytest.fixture(scope="module")
def data():
    cohort, y, _ = cohort_of_ages(120)
    return VisitSequenceTransformer(min_frequency=2).fit_transform(cohort), y


def estimators(y):
    times = np.rec.fromarrays([y == 1, np.arange(1.0, len(y) + 1)], names="event,time")
    return [
        (LSTMVisitClassifier(**TINY), y),
        (LSTMVisitRegressor(**TINY), y.astype(float)),
        (LSTMVisitSurvival(n_intervals=3, **TINY), times),
    ]


@pytest.mark.slow
def test_risk_that_is_in_age_alone_is_found():
    cohort, y, log_odds = cohort_of_ages(7000)
    train, test = np.arange(3000), np.arange(3000, 7000)
    model = make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0))
    risk = model.fit(cohort[train], y[train]).predict_proba(cohort[test])[:, 1]
    assert roc_auc_score(y[test], risk) > roc_auc_score(y[test], log_odds[test]) - 0.01


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_estimator_of_samples_reads_features(data, which):
    X, y = data
    estimator, outcome = estimators(y)[which]
    model = clone(estimator).set_params(max_epochs=20, lr=0.05).fit(X, outcome)
    assert model.feature_names_ == ["age", "score"]
    assert model.net_.module_.features.in_features == 2
    other = X[:]
    other.features = X.features + 1
    assert not np.allclose(model.predict(other), model.predict(X))


def test_order_and_subset_of_samples_change_next_to_nothing(data):
    X, y = data
    model = LSTMVisitClassifier(**TINY).fit(X, y)
    rows = np.random.default_rng(0).permutation(len(y))[:50]
    np.testing.assert_allclose(
        model.predict_proba(X[rows]), model.predict_proba(X)[rows], atol=1e-6
    )


def test_missing_value_is_marked_and_predicted():
    cohort, y, _ = cohort_of_ages(120, missing=0.3)
    model = make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(**TINY))
    assert np.isfinite(model.fit(cohort, y).predict_proba(cohort)).all()
    assert model[-1].feature_names_ == ["age", "score", "missingindicator_age"]


def test_other_features_than_in_fit_are_refused(data):
    X, y = data
    without = X[:]
    without.features = without.feature_names = None
    with pytest.raises(ValueError, match=r"X has the features None.*fitted with \['age'"):
        LSTMVisitClassifier(**TINY).fit(X, y).predict(without)
    with pytest.raises(ValueError, match=r"X has the features \['age'.*fitted with None"):
        LSTMVisitClassifier(**TINY).fit(without, y).predict(X)
    with pytest.raises(ValueError, match="X_val has the features None"):
        LSTMVisitClassifier(**TINY).fit(X, y, X_val=without, y_val=y)


def test_what_is_known_at_the_prediction_is_not_read_at_a_visit_before(data):
    X, y = data
    with pytest.raises(ValueError, match="look ahead"):
        LSTMVisitClassifier(**TINY).fit(X, y).predict_proba_by_visit(X)
    labels = [np.arange(n) % 2 for n in X.lengths]
    with pytest.raises(ValueError, match="LSTMVisitTagger would look ahead"):
        LSTMVisitTagger(**TINY).fit(X, labels)


def test_partial_fit_and_a_later_predict_read_features(data):
    X, y = data
    model = LSTMVisitClassifier(**TINY).partial_fit(X, y, classes=[0, 1]).partial_fit(X, y)
    assert model.feature_names_ == ["age", "score"]
    assert model.predict_proba(X).shape == (len(y), 2)


def test_value_far_from_all_of_training_has_a_finite_prediction():
    cohort, y, _ = cohort_of_ages(120)
    constant = cohort.samples.assign(age=60.0, score=1.0)
    far = constant.assign(age=3e38, score=-3e38)
    made = [
        Cohort(cohort.event_table, samples, features=["age", "score"], prediction_time=None)
        for samples in (constant, far)
    ]
    model = make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(**TINY)).fit(made[0], y)
    assert np.isfinite(model.predict_proba(made[1])).all()
