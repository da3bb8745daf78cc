"""Predictions are right on average over the samples that a network was trained on."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss
from skorch.callbacks import Freezer

from sklearn_ehr import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
)
from sklearn_ehr.estimators.targets import place_in_intervals

RNG = np.random.default_rng(0)
N = 300
X = RNG.integers(2, 8, (N, 3, 2))
RARE = (RNG.random(N) < np.where((X == 2).any(axis=(1, 2)), 0.25, 0.05)).astype(int)
# With so much dropout the mean risk would be far too low, and with so few epochs anything.
TINY = {
    "embedding_dim": 16,
    "hidden_dim": 16,
    "dropout": 0.8,
    "lr": 0.05,
    "weight_decay": 0.0,
    "max_epochs": 6,
    "random_state": 0,
    "device": "cpu",
}
WHOLE = TINY | {"early_stopping": False}


def test_mean_risk_is_the_base_rate():
    risk = LSTMVisitClassifier(**WHOLE).fit(X, RARE).predict_proba(X)[:, 1]
    assert risk.std() > 0.02
    assert risk.mean() == pytest.approx(RARE.mean(), abs=1e-4)


def test_weighted_mean_risk_is_the_weighted_base_rate():
    weight = RNG.uniform(0, 3, N) * (1 + RARE)
    weight[:20] = 0
    risk = LSTMVisitClassifier(**WHOLE).fit(X, RARE, weight).predict_proba(X)[:, 1]
    expected = np.average(RARE, weights=weight)
    assert expected > RARE.mean() + 0.02
    assert np.average(risk, weights=weight) == pytest.approx(expected, abs=1e-4)


def test_mean_risks_are_the_shares_of_classes_and_of_labels():
    y = RNG.choice(3, N, p=[0.7, 0.2, 0.1])
    proba = LSTMVisitClassifier(**WHOLE).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(proba.mean(axis=0), np.bincount(y) / N, atol=1e-3)
    labels = np.column_stack([RARE, y == 0])
    proba = LSTMVisitClassifier(**WHOLE).fit(X, labels).predict_proba(X)
    np.testing.assert_allclose(proba.mean(axis=0), labels.mean(axis=0), atol=1e-3)


def test_mean_risk_after_visits_is_the_share_of_their_labels():
    labels = (RNG.random((N, 3)) < 0.2).astype(object)
    labels[:100, 0] = None
    proba = np.stack(list(LSTMVisitTagger(**WHOLE).fit(X, list(labels)).predict_proba(X)))
    is_there = labels != None  # noqa: E711
    expected = labels[is_there].astype(float).mean()
    assert proba[:, :, 1][is_there].mean() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_mean_number_is_that_of_the_outcomes(loss):
    y = RNG.poisson(2 + 4 * RARE)
    predicted = LSTMVisitRegressor(loss=loss, **WHOLE).fit(X, y).predict(X)
    assert predicted.mean() == pytest.approx(y.mean(), rel=1e-3)


def test_half_of_the_numbers_lie_below_predicted_medians():
    y = RNG.exponential(1 + 4 * RARE) ** 3
    params = WHOLE | {"max_epochs": 1, "lr": 1e-4}
    model = LSTMVisitRegressor(loss="absolute_error", **params).fit(X, y)
    assert (y < y.mean()).mean() > 0.75
    assert (y < model.predict(X)).mean() == pytest.approx(0.5, abs=0.01)


def test_as_many_events_are_expected_as_happened():
    time = RNG.exponential(20, N)
    event = RNG.choice(3, N, p=[0.3, 0.6, 0.1])
    y = np.rec.fromarrays([event, time], names=["event", "time"])
    model = LSTMVisitSurvival(**WHOLE, n_intervals=5).fit(X, y)
    hazards = np.exp(model._log_hazards(X)[:, :, 1:])
    happened = place_in_intervals(event, time, model.unique_times_)
    expected = hazards[happened >= 0].sum(axis=0)
    np.testing.assert_allclose(expected, [(event == 1).sum(), (event == 2).sum()], rtol=1e-4)


def test_what_never_happens_in_an_interval_stays_possible():
    time, event = np.arange(1.0, N + 1), np.where(np.arange(N) < N / 2, 1, 2)
    event[::3] = 0
    y = np.rec.fromarrays([event, time], names=["event", "time"])
    model = LSTMVisitSurvival(**WHOLE, n_intervals=4).fit(X, y)
    incidence = model.predict_cumulative_incidence(X)
    # Of the order of half a sample.
    assert 1e-4 < incidence[:, 1, 0].min() < incidence[:, 1, 0].max() < 0.01


def test_rare_outcomes_and_many_labels_are_right_on_average():
    weight = np.where(RARE, 1e-5, 1.0)
    risk = LSTMVisitClassifier(**WHOLE).fit(X, RARE, weight).predict_proba(X)[:, 1]
    expected = np.average(RARE, weights=weight)
    assert expected < 1e-5
    assert np.average(risk, weights=weight) == pytest.approx(expected, rel=0.01)
    labels = (RNG.random((N, 100)) < 0.02).astype(int)
    labels[0] = 1
    proba = LSTMVisitClassifier(**WHOLE).fit(X, labels).predict_proba(X)
    np.testing.assert_allclose(proba.mean(axis=0), labels.mean(axis=0), rtol=1e-3)


def test_bias_that_the_user_has_frozen_stays():
    callbacks = [Freezer("head.*")]
    trained = LSTMVisitClassifier(**WHOLE, callbacks=callbacks).fit(X, RARE)
    params = WHOLE | {"lr": 1e-20, "max_epochs": 1}
    first = LSTMVisitClassifier(**params, callbacks=callbacks).fit(X, RARE)
    assert trained.net_.module_.head.bias.item() == first.net_.module_.head.bias.item()


def test_interrupted_refit_of_the_bias_leaves_a_fitted_estimator(monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.optim.LBFGS.step", interrupt)
    model = LSTMVisitClassifier(**WHOLE)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, RARE)
    assert model.predict_proba(X).shape == (N, 2)


def test_bias_is_fitted_to_what_the_network_was_trained_on():
    rest, X_val = X[100:], X[:100]
    model = LSTMVisitClassifier(**TINY).fit(rest, RARE[100:], X_val=X_val, y_val=1 - RARE[:100])
    risk = model.predict_proba(rest)[:, 1]
    assert risk.mean() == pytest.approx(RARE[100:].mean(), abs=1e-4)
    # A refit trains on all.
    risk = LSTMVisitClassifier(**TINY).fit(X, RARE).predict_proba(X)[:, 1]
    assert risk.mean() == pytest.approx(RARE.mean(), abs=1e-4)


def test_no_other_bias_has_a_lower_loss():
    model = LSTMVisitClassifier(**WHOLE).fit(X, RARE)
    log_odds = model.decision_function(X)
    assert log_odds.std() > 0.1
    for shift in (-1, 1):
        moved = log_loss(RARE, expit(log_odds + 0.05 * shift))
        assert moved > log_loss(RARE, expit(log_odds))
