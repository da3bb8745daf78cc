"""Early stopping by a score: in the estimator's own terms, on samples not trained on."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, mean_poisson_deviance, roc_auc_score
from sklearn.utils._param_validation import InvalidParameterError
from skorch.callbacks import Callback

from sklearn_ehr import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits


@pytest.fixture(scope="module")
def data():
    X, y = make_visits(300, random_state=0)
    return VisitSequenceTransformer(min_frequency=20).fit_transform(X), y.to_numpy()


def tiny(Estimator=LSTMVisitClassifier, **params):
    given = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 12, "lr": 0.02, "random_state": 0}
    given |= {"dropout": 0.3, "weight_decay": 0.0, "n_iter_no_change": 3}
    given |= {"refit": False}
    return Estimator(**{**given, "device": "cpu", **params})


class Watch:
    """A scorer that remembers what it was asked; first it is tried before any training."""

    def __init__(self, metric):
        self.metric, self.asked, self.answers = metric, [], []

    def __call__(self, estimator, X, y, **weights):
        self.asked.append((estimator, X, y, weights))
        self.answers.append(self.metric(estimator, X, y))
        return self.answers[-1]

    @property
    def scores(self):
        """Of each epoch."""
        return self.answers[1:]


def auc(estimator, X, y):
    return roc_auc_score(y, estimator.predict_proba(X)[:, 1])


def test_best_epoch_is_that_of_the_highest_score(data):
    X, y = data
    watch = Watch(auc)
    model = tiny(scoring=watch).fit(X, np.where(y, "ill", "well"))
    assert model.history_["valid_score"].tolist() == watch.scores
    _, X_apart, y_apart, weights = watch.asked[-1]
    assert auc(model, X_apart, y_apart) == max(watch.scores)
    assert set(y_apart) == {"ill", "well"}
    assert isinstance(X_apart, VisitSequences)
    assert weights == {}
    # Three epochs without a better one are the last.
    assert np.argmax(watch.scores) == len(watch.scores) - 4


def test_scorers_go_by_their_names(data):
    X, y = data
    watch = Watch(lambda e, X, y: average_precision_score(y, e.predict_proba(X)[:, 1]))
    model, same = tiny(scoring="average_precision").fit(X, y), tiny(scoring=watch).fit(X, y)
    np.testing.assert_array_equal(model.history_["valid_score"], watch.scores)
    np.testing.assert_array_equal(model.predict_proba(X), same.predict_proba(X))


def test_loss_and_score_may_disagree_about_the_best_epoch(data):
    X, y = data
    first_best = tiny(scoring=lambda e, X, y: -len(e.net_.history)).fit(X, y)
    by_loss = tiny().fit(X, y)
    assert by_loss.history_["valid_loss"].argmin() > 0
    one_epoch = tiny(max_epochs=1).fit(X, y)
    np.testing.assert_array_equal(first_best.predict_proba(X), one_epoch.predict_proba(X))
    assert (first_best.predict_proba(X) != by_loss.predict_proba(X)).all()
    assert "valid_score" not in by_loss.history_


def test_samples_of_the_score_are_those_of_the_validation_loss(data):
    X, y = data
    watch = Watch(auc)
    tiny(scoring=watch).fit(X, y)
    _, X_apart, y_apart, _ = watch.asked[0]
    position = np.flatnonzero(np.isin(X.groups, X_apart.groups))
    assert len(position) == len(X_apart) == 30
    order = np.argsort(X_apart.groups)
    np.testing.assert_array_equal(y_apart[order], y[position])


@pytest.mark.usefixtures("without_bias_fit")
def test_numbers_are_scored_in_their_unit(data):
    X, y = data
    days = 100.0 + 50 * y
    watch = Watch(lambda e, X, y: -np.abs(y - e.predict(X)).mean())
    model = tiny(LSTMVisitRegressor, scoring=watch).fit(X, days)
    _, X_apart, y_apart, _ = watch.asked[-1]
    assert set(y_apart) == {100.0, 150.0}
    assert -np.abs(y_apart - model.predict(X_apart)).mean() == max(watch.scores) < -1
    watch = Watch(lambda e, X, y: -mean_poisson_deviance(y, e.predict(X)))
    tiny(LSTMVisitRegressor, loss="poisson", scoring=watch).fit(X, 1 + 2.0 * y)
    assert np.isfinite(watch.scores).all()
    named = tiny(LSTMVisitRegressor, scoring="neg_mean_absolute_error").fit(X, days)
    assert (named.history_["valid_score"] < -1).all()


def test_several_labels_are_scored_by_name(data):
    X, y = data
    labels = np.column_stack([y, 1 - y])
    model = tiny(scoring="roc_auc").fit(X, labels)
    assert model.history_["valid_score"].between(0, 1).all()


def test_weights_go_to_the_scorer_where_they_differ(data):
    X, y = data
    watch = Watch(auc)
    weight = 1.0 + np.arange(300) % 3
    tiny(scoring=watch).fit(X, y, sample_weight=weight)
    _, X_apart, _, weights = watch.asked[0]
    wanted = [weight[X.groups == patient].item() for patient in X_apart.groups]
    np.testing.assert_array_equal(weights["sample_weight"], wanted)
    tiny(scoring="roc_auc", class_weight="balanced").fit(X, y)


def test_visits_and_times_are_scored_by_a_function(data):
    X, y = data
    by_visit = [np.arange(n) % 2 for n in X.lengths]
    watch = Watch(lambda e, X, y: e.score(X, y))
    model = tiny(LSTMVisitTagger, scoring=watch).fit(X, by_visit)
    assert model.history_["valid_score"].tolist() == watch.scores
    outcome = np.rec.fromarrays([y == 1, 1.0 + np.arange(300) % 9], names=["event", "time"])
    watch = Watch(
        lambda e, X, y: -e.predict_survival_function(X, return_array=True)[y.event].mean()
    )
    model = tiny(LSTMVisitSurvival, scoring=watch).fit(X, outcome)
    assert model.history_["valid_score"].tolist() == watch.scores
    for Estimator, target in [(LSTMVisitTagger, by_visit), (LSTMVisitSurvival, outcome)]:
        with pytest.raises(InvalidParameterError, match="scoring"):
            tiny(Estimator, scoring="accuracy").fit(X, target)


@pytest.mark.parametrize(
    ("Estimator", "scoring", "message"),
    [
        (LSTMVisitRegressor, "roc_auc", "scoring='roc_auc' does not score a LSTMVisitRegressor"),
        (LSTMVisitRegressor, "f1", r"scoring='f1'.*Choose another scorer, None for the loss"),
        (LSTMVisitClassifier, "neg_mean_squared_log_error", "scoring='neg_mean_squared_log_error'"),
    ],
)
def test_scorer_that_does_not_fit_raises_before_any_training(data, Estimator, scoring, message):
    class Epochs(Callback):
        begun = 0

        def on_epoch_begin(self, net, **kwargs):
            Epochs.begun += 1

    X, y = data
    y = y - 0.5 if Estimator is LSTMVisitRegressor else np.where(y, -2, 1)
    model = tiny(Estimator, scoring=scoring, callbacks=[Epochs()])
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert Epochs.begun == 0
    assert not hasattr(model, "net_")


def test_unknown_scorer_raises(data):
    with pytest.raises(InvalidParameterError, match="scoring"):
        tiny(scoring="luck").fit(*data)


def test_nothing_of_the_validation_is_kept(data):
    model = tiny(scoring="roc_auc").fit(*data)
    assert "ValidationScore" not in dict(model.net_.callbacks_)
    assert "EarlyStopping" not in dict(model.net_.callbacks_)
    assert model.net_.train_split is None


def test_failing_scorer_leaves_no_half_fitted_model(data):
    def fail(estimator, X, y):
        raise ZeroDivisionError

    model = tiny(scoring=fail)
    with pytest.raises(ZeroDivisionError):
        model.fit(*data)
    assert not [name for name in vars(model) if name.endswith("_")]


@pytest.mark.parametrize("value", [float("nan"), None, "high"])
def test_score_that_is_no_finite_number_raises(data, value):
    with pytest.raises(ValueError, match=r"gives no finite number.*validation_fraction"):
        tiny(scoring=lambda e, X, y: value).fit(*data)


def test_score_that_never_changes_warns(data):
    with pytest.warns(UserWarning, match="was the same after every epoch.*roc_auc"):
        tiny(scoring=lambda e, X, y: 0.0).fit(*data)


def test_class_weights_do_not_weigh_the_score(data):
    X, y = data
    watch = Watch(auc)
    model = tiny(scoring=watch, class_weight="balanced").fit(X, y)
    assert [weights for *_, weights in watch.asked] == [{}] * (1 + len(model.history_))
    watch = Watch(auc)
    given = 1.0 + np.arange(len(y)) % 3
    tiny(scoring=watch, class_weight="balanced").fit(X, y, sample_weight=given)
    for *_, weights in watch.asked:
        assert set(weights["sample_weight"]) == {1, 2, 3}


def test_scorer_without_weights_raises_by_name_where_weights_are_given(data):
    X, y = data
    with pytest.raises(ValueError, match=r"does not score a LSTMVisitClassifier.*sample_weight"):
        tiny(scoring=lambda e, X, y: 0.5).fit(X, y, sample_weight=1 + np.arange(len(y)) % 2)
