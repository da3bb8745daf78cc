import numpy as np
import pytest
from scipy.special import expit
from skorch.callbacks import Callback

from sklearn_ehr import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitTagger,
    VisitSequences,
)

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


def rare(n_samples=400, seed=0):
    """Histories whose codes tell much of a rare outcome."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(2, 30, (n_samples, 3, 4))
    risk = expit(-3 + 2.0 * (codes == 2).sum(axis=(1, 2)))
    return codes, (rng.random(n_samples) < risk).astype(int)


@pytest.mark.parametrize("params", [{}, {"refit": False}, {"early_stopping": False}])
@pytest.mark.parametrize("aggregation", ["mean", "sum"])
def test_mean_risk_of_all_that_was_trained_on_is_the_base_rate(params, aggregation):
    """As in a logistic regression, although units were dropped in training."""
    codes, y = rare()
    tiny = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 4, "lr": 0.03, "random_state": 0}
    seen = []

    class KeepTraining(Callback):
        def on_train_begin(self, net, X=None, **kwargs):
            seen.append(X)

    model = LSTMVisitClassifier(
        **tiny, **params, aggregation=aggregation, dropout=0.7, callbacks=[KeepTraining()]
    ).fit(codes, y)
    data = seen[-1]
    risk = model.predict_proba(data.sequences)[:, 1]
    assert risk.mean() == pytest.approx(data.target.mean(), rel=1e-3)


def test_weighted_mean_risk_is_the_weighted_base_rate():
    codes, y = rare()
    weight = np.where(y, 3.0, 1.0)
    model = LSTMVisitClassifier(
        embedding_dim=8, hidden_dim=8, max_epochs=2, early_stopping=False, random_state=0
    ).fit(codes, y, sample_weight=weight)
    risk = model.predict_proba(codes)[:, 1]
    expected = np.average(y, weights=weight)
    assert np.average(risk, weights=weight) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_mean_prediction_of_numbers_is_their_mean(loss):
    codes, y = rare()
    model = LSTMVisitRegressor(
        loss=loss, embedding_dim=8, hidden_dim=8, max_epochs=2, early_stopping=False, random_state=0
    ).fit(codes, y + 1.5)
    assert model.predict(codes).mean() == pytest.approx(y.mean() + 1.5, rel=1e-3)


def test_mean_risk_of_each_class_and_of_labelled_visits_is_its_share():
    codes, y = rare()
    tiny = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "early_stopping": False}
    classes = y + (np.arange(len(y)) % 3 == 0)
    proba = LSTMVisitClassifier(**tiny, random_state=0).fit(codes, classes).predict_proba(codes)
    np.testing.assert_allclose(proba.mean(axis=0), np.bincount(classes) / len(y), rtol=1e-2)
    labels = [[float(v), np.nan, 1.0 - v] for v in y]
    told = LSTMVisitTagger(**tiny, random_state=0).fit(codes, labels).predict_proba(codes)
    labelled = np.concatenate([visits[[0, 2], 1] for visits in told])
    assert labelled.mean() == pytest.approx(0.5, rel=1e-3)


def test_sums_of_codes_start_at_the_size_of_one_code():
    class KeepEmbedding(Callback):
        def on_train_begin(self, net, **kwargs):
            type(self).size = net.module_.embedding.weight[2:].std().item()

    codes = np.random.default_rng(0).integers(2, 200, (50, 3, 16))
    still = STILL | {"embedding_dim": 64, "callbacks": [KeepEmbedding()]}
    y = np.arange(50) % 2
    for aggregation, size in [("mean", 1.0), ("sum", 0.25)]:
        LSTMVisitClassifier(**still, aggregation=aggregation).fit(codes, y)
        assert KeepEmbedding.size == pytest.approx(size, rel=0.02)


def test_empty_visits_can_be_added_up():
    empty = VisitSequences.from_padded(
        np.zeros((20, 2, 1), dtype=int), visit_mask=np.ones((20, 2), dtype=bool)
    )
    model = LSTMVisitClassifier(**STILL, aggregation="sum").fit(empty, np.arange(20) % 2)
    assert np.isfinite(model.predict_proba(empty)).all()
