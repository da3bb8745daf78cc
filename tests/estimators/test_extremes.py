"""Numbers at the ends of what floats hold: weights, outcomes, token ids, losses."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_ehr import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

TINY = {
    "embedding_dim": 4,
    "hidden_dim": 4,
    "max_epochs": 2,
    "batch_size": 16,
    "random_state": 0,
    "device": "cpu",
}
N = 80
X = np.random.default_rng(0).integers(2, 9, (N, 3, 2))
Y = np.arange(N) % 2
NUMBERS = np.random.default_rng(1).normal(size=N)
SURVIVAL = np.rec.fromarrays([Y > 0, np.arange(1.0, N + 1)])
TAGS = np.stack([Y, 1 - Y, Y], axis=1)
TASKS = [
    (LSTMVisitClassifier, Y),
    (LSTMVisitRegressor, NUMBERS),
    (LSTMVisitSurvival, SURVIVAL),
    (LSTMVisitTagger, TAGS),
]
EVERY_TASK = pytest.mark.parametrize(
    ("estimator", "y"), TASKS, ids=[task[0].__name__ for task in TASKS]
)


def weights_of(model):
    return [weight.detach().numpy().copy() for weight in model.net_.module_.parameters()]


def assert_same_bits(one, other):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


@EVERY_TASK
@pytest.mark.parametrize("size", [1e-308, 1e-300, 3.0, 1e39, 1e300, 1.7e308])
def test_equal_weights_of_any_size_are_as_ones(estimator, y, size):
    one = estimator(**TINY).fit(X, y, sample_weight=np.full(N, size))
    assert_same_bits(one, estimator(**TINY).fit(X, y))


@EVERY_TASK
def test_unequal_weights_of_any_size_count_by_their_ratios(estimator, y):
    weight = np.arange(1, N + 1) / N
    one, other = (estimator(**TINY).fit(X, y, weight * 2.0**power) for power in (0, 1000))
    assert_same_bits(one, other)


@EVERY_TASK
@pytest.mark.parametrize("size", [1e39, 1e300])
def test_one_weight_far_beyond_the_others_leaves_predictions_finite(estimator, y, size):
    model = estimator(**TINY).fit(X, y, sample_weight=np.r_[np.ones(N - 2), size, size])
    assert all(np.isfinite(weight).all() for weight in weights_of(model))


@pytest.mark.parametrize("class_weight", [{0: np.inf, 1: 1}, {0: 1, 1: np.nan}])
def test_class_weights_that_are_not_finite_raise(class_weight):
    with pytest.raises(ValueError, match=r"class_weight=.*NaN or infinite"):
        LSTMVisitClassifier(class_weight=class_weight, **TINY).fit(X, Y)


@pytest.mark.parametrize("size", [1e-300, 1e39, 1e300])
def test_partial_fit_refuses_weights_that_it_cannot_take_as_they_are(size):
    with pytest.raises(ValueError, match=r"sample_weight, times class_weight, is too large"):
        LSTMVisitClassifier(**TINY).partial_fit(X, Y, [0, 1], sample_weight=np.full(N, size))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
@pytest.mark.parametrize(
    "y", [np.r_[1e300, np.ones(N - 1)], np.full(N, 1.7e308), np.r_[1e200, 0, np.ones(N - 2)]]
)
def test_outcomes_too_large_to_scale_raise(loss, y):
    with pytest.raises(ValueError, match=r"^y has values that are too large to scale"):
        LSTMVisitRegressor(loss=loss, **TINY).fit(X, y)


def test_outcomes_of_opposite_sign_too_large_to_scale_raise():
    with pytest.raises(ValueError, match="too large to scale"):
        LSTMVisitRegressor(**TINY).fit(X, np.where(Y, 1.7e308, -1.7e308))


def test_validation_outcomes_too_large_to_scale_raise():
    with pytest.raises(ValueError, match=r"validation: y has values that are too large"):
        LSTMVisitRegressor(**TINY).fit(X, NUMBERS, X_val=X[:20], y_val=np.r_[1e300, NUMBERS[1:20]])


@pytest.mark.parametrize("unit", [1e-200, 1e-30, 1e30, 1e100])
def test_predictions_are_in_the_unit_of_the_outcomes(unit):
    model = LSTMVisitRegressor(**TINY).fit(X, NUMBERS)
    in_unit = LSTMVisitRegressor(**TINY).fit(X, NUMBERS * unit)
    np.testing.assert_allclose(in_unit.predict(X) / unit, model.predict(X), rtol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, -5.0, 1e100])
def test_a_constant_outcome_is_predicted_in_its_unit(value):
    model = LSTMVisitRegressor(**TINY).fit(X, np.full(N, value))
    np.testing.assert_allclose(model.predict(X), value, rtol=1e-6)


@EVERY_TASK
def test_token_ids_that_count_no_codes_raise(estimator, y):
    codes = X.copy()
    codes[0, 0, 0] = 2**31 - 1
    with pytest.raises(ValueError, match=r"X has token ids up to 2147483647.*Number the codes"):
        estimator(**TINY).fit(codes, y)


def test_partial_fit_refuses_token_ids_that_count_no_codes():
    codes = X.copy()
    codes[0, 0, 0] = 2**31 - 1
    model = LSTMVisitClassifier(**TINY)
    with pytest.raises(ValueError, match="X has token ids up to 2147483647"):
        model.partial_fit(codes, Y, classes=[0, 1])
    model.partial_fit(X, Y, classes=[0, 1])
    codes_read_as_unknown = np.where(codes == 2**31 - 1, 1, codes)
    np.testing.assert_array_equal(
        model.predict_proba(codes), model.predict_proba(codes_read_as_unknown)
    )


@EVERY_TASK
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("lr", [10.0, 1e4, 1e20, 1e38])
def test_divergence_says_in_which_epoch(estimator, y, early_stopping, lr):
    model = estimator(**TINY | {"max_epochs": 30, "lr": lr, "early_stopping": early_stopping})
    with pytest.raises(ValueError, match=r"diverged in epoch \d+: .* lr=.*Lower lr"):
        model.fit(X, y)
    assert not hasattr(model, "net_")


def test_divergence_of_partial_fit_says_in_which_epoch():
    model = LSTMVisitClassifier(**TINY).partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"diverged in epoch 3: .* lr=10000.0"):
        model.set_params(lr=1e4).partial_fit(X, Y)


class Spoil(Callback):
    """Sets the bias of the head at an epoch, after which weights are still finite."""

    def __init__(self, value, epoch):
        self.value = value
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            with torch.no_grad():
                net.module_.head.bias.fill_(self.value)


@EVERY_TASK
@pytest.mark.parametrize("early_stopping", [False, True])
def test_finite_weights_with_absurd_losses_are_a_divergence(estimator, y, early_stopping):
    params = {"max_epochs": 9, "early_stopping": early_stopping, "average": False}
    model = estimator(**TINY | params, callbacks=[Spoil(1e6, 3)])
    with pytest.raises(ValueError, match=r"diverged in epoch 3: the mean loss is \d"):
        model.fit(X, y)


def test_finite_weights_with_infinite_losses_are_a_divergence():
    model = LSTMVisitRegressor(**TINY, average=False, callbacks=[Spoil(1e30, 2)])
    with pytest.raises(ValueError, match=r"diverged in epoch 2: the loss is inf"):
        model.fit(X, NUMBERS)


def test_large_weights_do_not_make_the_losses_of_partial_fit_absurd():
    model = LSTMVisitClassifier(**TINY)
    model.partial_fit(X, Y, classes=[0, 1], sample_weight=np.full(N, 1e6))
    assert model.history_["train_loss"][0] > 1e5


@pytest.mark.parametrize("value", [3e38, np.nan])
def test_predictions_are_never_nan(value):
    model = LSTMVisitClassifier(**TINY).fit(X, Y)
    with torch.no_grad():
        model.net_.module_.lstm.weight_ih_l0.fill_(value)
        model.net_.module_.head.weight.fill_(value)
    for method in (model.predict, model.predict_proba, model.decision_function):
        with pytest.raises(ValueError, match="outputs are not finite"):
            method(X)


def test_the_longest_times_that_floats_hold_leave_predictions_finite():
    cohort, _ = make_visits(90, random_state=0)
    sequences = VisitSequenceTransformer(min_frequency=3).fit_transform(cohort)
    sequences.times_to_prediction[:] = 3e38
    y = np.arange(90) % 2
    p = LSTMVisitClassifier(**TINY, time_gaps=True).fit(sequences, y).predict_proba(sequences)
    assert np.isfinite(p).all()


def test_given_vectors_at_the_end_of_floats_are_a_divergence():
    cohort, _ = make_visits(90, random_state=0)
    sequences = VisitSequenceTransformer(min_frequency=3).fit_transform(cohort)
    vectors = {code: np.full(4, 3e38) for code in sequences.vocabulary.codes}
    model = LSTMVisitClassifier(**TINY, aggregation="sum", embedding_init=vectors)
    with pytest.raises(ValueError, match="diverged in epoch 1"):
        model.fit(sequences, np.arange(90) % 2)


def test_outcome_of_a_sample_without_weight_may_be_anything():
    weight = np.r_[0.0, np.ones(N - 1)]
    with_it, without = (
        LSTMVisitRegressor(**TINY).fit(X, np.r_[value, NUMBERS[1:]], sample_weight=weight)
        for value in (1e300, 0.0)
    )
    np.testing.assert_array_equal(with_it.predict(X), without.predict(X))


@pytest.mark.parametrize("value", [1e-40, 1e-300, 5e-324])
def test_a_constant_as_small_as_that_is_predicted(value):
    model = LSTMVisitRegressor(**TINY).fit(X, np.full(N, value))
    np.testing.assert_allclose(model.predict(X), value)
