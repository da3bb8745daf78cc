import numpy as np
import pytest
from scipy.special import logit

from sklearn_ehr import LSTMVisitClassifier, LSTMVisitTagger

X = np.random.default_rng(0).integers(2, 9, (100, 3, 2))
# Too small a learning rate to change anything.
STILL = {
    "embedding_dim": 4,
    "hidden_dim": 4,
    "max_epochs": 1,
    "lr": 1e-30,
    "early_stopping": False,
    "random_state": 0,
    "device": "cpu",
}


def bias_of(model):
    return model.net_.module_.head.bias.detach().numpy()


def test_two_classes_start_at_the_log_odds_of_the_base_rate():
    y = np.arange(100) < 10
    # Half a sample more of each class: 10.5 to 90.5.
    np.testing.assert_allclose(bias_of(LSTMVisitClassifier(**STILL).fit(X, y)), np.log(10.5 / 90.5))


def test_start_is_weighted():
    y = np.arange(100) < 10
    weight = np.where(y, 9.0, 1.0)
    model = LSTMVisitClassifier(**STILL).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(bias_of(model), 0, atol=1e-6)


def test_several_classes_start_at_their_shares():
    y = np.repeat(["a", "b", "c"], [70, 20, 10])
    bias = bias_of(LSTMVisitClassifier(**STILL).fit(X, y))
    np.testing.assert_allclose(np.exp(bias), np.array([70.5, 20.5, 10.5]) / 101.5, rtol=1e-5)


def test_each_label_starts_at_its_log_odds():
    y = np.stack([np.arange(100) < 10, np.arange(100) < 50], axis=1).astype(int)
    expected = [np.log(10.5 / 90.5), 0]
    bias = bias_of(LSTMVisitClassifier(**STILL).fit(X, y))
    np.testing.assert_allclose(bias, expected, atol=1e-6)


def test_labels_of_visits_start_at_the_share_of_those_that_are_there():
    y = [[1.0, np.nan, 0.0]] * 25 + [[0.0, 0.0, np.nan]] * 75
    bias = bias_of(LSTMVisitTagger(**STILL).fit(X, y))
    np.testing.assert_allclose(bias, np.log(25.5 / 175.5), rtol=1e-6)


def test_partial_fit_starts_at_the_base_rate_of_the_first_batch():
    y = np.arange(100) < 10
    model = LSTMVisitClassifier(**STILL).partial_fit(X, y, classes=[False, True])
    np.testing.assert_allclose(bias_of(model), np.log(10.5 / 90.5))


@pytest.mark.slow
def test_mean_risk_is_near_the_base_rate_where_training_is_short():
    y = np.random.default_rng(1).random(100) < 0.1
    model = LSTMVisitClassifier(embedding_dim=8, hidden_dim=8, max_epochs=5, random_state=0)
    mean = model.fit(X, y).predict_proba(X)[:, 1].mean()
    assert abs(logit(mean) - logit(y.mean())) < 0.2
