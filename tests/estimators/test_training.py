import io
import pickle
import warnings
from math import comb

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)

from sklearn_ehr import LSTMVisitClassifier, VisitSequences
from sklearn_ehr.estimators._history import best_epoch

TINY = {
    "embedding_dim": 8,
    "hidden_dim": 8,
    "max_epochs": 2,
    "refit": False,
    "random_state": 0,
    "device": "cpu",
}


def tiny(**params):
    return LSTMVisitClassifier(**(TINY | params))


def visits(n_samples=60, n_classes=2, seed=0):
    """Three visits; the label is the one code of the last, modulo the classes."""
    codes = np.random.default_rng(seed).integers(2, 2 + 2 * n_classes, (n_samples, 3, 2))
    codes[:, 2, 1] = 0
    codes[:n_classes, 2, 0] = np.arange(2, 2 + n_classes)
    return codes, codes[:, 2, 0] % n_classes


X, Y = visits()


def weights_of(model):
    return {name: value.numpy() for name, value in model.net_.module_.state_dict().items()}


def assert_same_bits(one, other):
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def same_bits(one, other):
    return joblib.hash(weights_of(one)) == joblib.hash(weights_of(other))


class Spy(Callback):
    """Counts what it sees; a clone starts from nothing."""

    def initialize(self):
        self.n_epochs_ = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs_ += 1


class Stop(Callback):
    """Raises at a batch or at the end of an epoch."""

    def __init__(self, error, epoch, at="batch"):
        self.error = error
        self.epoch = epoch
        self.at = at

    def on_batch_begin(self, net, **kwargs):
        if self.at == "batch" and len(net.history) == self.epoch:
            raise self.error

    def on_epoch_end(self, net, **kwargs):
        if self.at == "epoch" and len(net.history) == self.epoch:
            raise self.error


def validation_loss(model, X, y):
    p = model.predict_proba(X)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    return -np.log(p).mean()


class KeepValidation(Callback):
    """Keeps the validation data of the last fit on the class."""

    def on_epoch_begin(self, net, dataset_valid=None, **kwargs):
        type(self).valid = dataset_valid


@pytest.mark.parametrize(
    ("n_classes", "seed", "lr"), [(2, 0, 0.1), (2, 1, 0.3), (3, 2, 0.1), (2, 3, 1e-6)]
)
@pytest.mark.usefixtures("without_bias_fit")
def test_final_net_has_the_least_validation_loss_of_history(n_classes, seed, lr):
    X, y = visits(60, n_classes, seed)
    y = np.random.default_rng(seed).permutation(y)  # nothing to learn, so the loss rises again
    model = tiny(
        max_epochs=12,
        lr=lr,
        n_iter_no_change=4,
        validation_fraction=0.3,
        random_state=seed,
        batch_size=16,
        callbacks=[KeepValidation()],
    ).fit(X, y)
    loss = validation_loss(model, KeepValidation.valid.sequences, KeepValidation.valid.target)
    assert loss == pytest.approx(model.history_["valid_loss"].min(), abs=1e-6)


def test_training_stops_after_epochs_without_a_lower_validation_loss():
    y = np.random.default_rng(0).permutation(Y)
    losses = tiny(max_epochs=40, lr=0.3, n_iter_no_change=3).fit(X, y).history_["valid_loss"]
    assert len(losses) == losses.argmin() + 1 + 3


def test_without_early_stopping_every_epoch_is_run_and_nothing_validated():
    model = tiny(early_stopping=False, max_epochs=4).fit(X, Y)
    assert model.history_["epoch"].tolist() == [1, 2, 3, 4]
    assert "valid_loss" not in model.history_


@pytest.mark.usefixtures("without_bias_fit")
def test_validation_loss_is_the_weighted_mean():
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    # One visit a sample, whose first token tells which sample it is.
    numbered = np.arange(2, len(Y) + 2).reshape(-1, 1, 1)
    model = tiny(max_epochs=1, callbacks=[KeepValidation()], validation_fraction=0.3)
    model.fit(numbered, Y, sample_weight=weight)
    valid = KeepValidation.valid
    y, w = Y[valid.sequences.tokens - 2], weight[valid.sequences.tokens - 2]
    p = model.predict_proba(valid.sequences)[np.arange(len(y)), y]
    assert np.average(-np.log(p), weights=w) == pytest.approx(model.history_["valid_loss"][0])


@pytest.mark.parametrize("class_weight", [{0: 1, 1: 5}, "balanced"])
def test_class_weight_equals_sample_weight(class_weight):
    y = np.where(np.arange(len(Y)) < 15, 1, 0)
    of_class = {0: 60 / 90, 1: 60 / 30} if class_weight == "balanced" else class_weight
    by_sample = tiny().fit(X, y, sample_weight=[of_class[label] for label in y])
    by_class = tiny(class_weight=class_weight).fit(X, y)
    assert_same_bits(by_class, by_sample)
    assert not same_bits(by_class, tiny().fit(X, y))


@pytest.mark.parametrize("class_weight", [{0: 1, 1: 5}, "balanced"])
def test_class_weight_with_sample_weights_of_zero_is_that_of_the_samples_left(class_weight):
    weight = np.where(Y == 0, np.arange(len(Y)) % 3 > 0, np.arange(len(Y)) % 2 > 0).astype(float)
    used = weight > 0
    one = tiny(class_weight=class_weight).fit(X, Y, sample_weight=weight)
    assert_same_bits(one, tiny(class_weight=class_weight).fit(X[used], Y[used]))


def test_balanced_class_weight_counts_samples_by_their_weight():
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    total = np.bincount(Y, weights=weight)
    one = tiny(class_weight="balanced").fit(X, Y, sample_weight=weight)
    other = tiny().fit(X, Y, sample_weight=weight * (total.sum() / (2 * total))[Y])
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("class_weight", [{0: -1, 1: 1}, {0: 1, 1: -2}])
def test_negative_class_weight_raises(class_weight):
    with pytest.raises(ValueError, match=r"class_weight=.*negative.*at least 0"):
        tiny(class_weight=class_weight).fit(X, Y)


def test_weight_decay_is_decoupled_from_the_gradient():
    assert isinstance(tiny(weight_decay=0.1).fit(X, Y).net_.optimizer_, torch.optim.AdamW)


def test_weight_decay_spares_the_embedding():
    # Codes 6 to 8 are in the table, and in no sample that is trained on.
    codes = np.concatenate([X, np.full((1, 3, 2), 8)])
    y, weight = np.append(Y, 0), np.append(np.ones(len(Y)), 0)
    start, end = (
        weights_of(tiny(lr=lr, weight_decay=0.5, early_stopping=False).fit(codes, y, weight))
        for lr in (1e-30, 1.0)
    )
    np.testing.assert_array_equal(start["embedding.weight"][6:], end["embedding.weight"][6:])


class RecordWeights(Callback):
    """Keeps on the class the weights that each training step starts from and ends with."""

    def on_train_begin(self, net, **kwargs):
        type(self).started, type(self).ended = [], []

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.started.append(self.of(net))

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.ended.append(self.of(net))

    def of(self, net):
        return {name: w.numpy().copy() for name, w in net.module_.state_dict().items()}


@pytest.mark.usefixtures("without_bias_fit")
def test_fitted_weights_are_a_polynomial_decay_average_of_those_after_each_step():
    model = tiny(average=True, max_epochs=3, batch_size=16, lr=0.1, early_stopping=False)
    model.set_params(callbacks=[RecordWeights()]).fit(X, Y)
    n_steps = len(RecordWeights.ended)
    assert n_steps == 12
    # Shamir and Zhang (2013): the weight of step t rises as t to the power of 8, about.
    share = [comb(step + 7, 8) / comb(n_steps + 8, 9) for step in range(1, n_steps + 1)]
    assert sum(share) == pytest.approx(1)
    for name, fitted in weights_of(model).items():
        steps = [weights[name] for weights in RecordWeights.ended]
        average = np.average(steps, axis=0, weights=share)
        np.testing.assert_allclose(fitted, average, atol=1e-5, err_msg=name)


@pytest.mark.usefixtures("without_bias_fit")
def test_without_average_fitted_weights_are_those_after_the_last_step():
    model = tiny(early_stopping=False, callbacks=[RecordWeights()]).fit(X, Y)
    for name, fitted in weights_of(model).items():
        np.testing.assert_array_equal(fitted, RecordWeights.ended[-1][name], err_msg=name)


def test_training_goes_on_from_the_weights_that_are_not_averaged():
    model = tiny(average=True, max_epochs=3, batch_size=16, lr=0.1, validation_fraction=0.3)
    model.set_params(callbacks=[RecordWeights()]).fit(X, Y)
    assert len(RecordWeights.started) == len(RecordWeights.ended) == 9
    for started, ended in zip(RecordWeights.started[1:], RecordWeights.ended[:-1], strict=True):
        for name in started:
            np.testing.assert_array_equal(started[name], ended[name], err_msg=name)


def test_class_weight_goes_by_label():
    labels = np.array(["no", "yes"])[Y]
    assert_same_bits(
        tiny(class_weight={"yes": 3, "no": 1}).fit(X, labels),
        tiny(class_weight={1: 3, 0: 1}).fit(X, Y),
    )


@pytest.mark.parametrize("weight", [np.ones(len(Y)), np.full(len(Y), 4), [1] * len(Y), 0.25])
def test_equal_sample_weights_are_none_at_all(weight):
    assert_same_bits(tiny().fit(X, Y, sample_weight=weight), tiny().fit(X, Y))


@pytest.mark.parametrize("factor", [1e-8, 7.3, 1e8])
def test_scale_of_sample_weights_does_not_matter(factor):
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    one, other = (tiny().fit(X, Y, sample_weight=w) for w in (weight, factor * weight))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-5)


def test_sample_weight_of_zero_leaves_a_sample_out():
    weight = np.where(np.arange(len(Y)) % 3, 1.0, 0.0)
    one = tiny().fit(X, Y, sample_weight=weight)
    assert_same_bits(one, tiny().fit(X[weight > 0], Y[weight > 0]))


def test_weighted_samples_pull_the_probability():
    same = np.full((40, 1, 1), 2)
    y, weight = np.arange(40) % 2, np.where(np.arange(40) % 2, 9.0, 1.0)
    model = tiny(early_stopping=False, max_epochs=60, lr=0.1, dropout=0.0)
    p = model.fit(same, y, sample_weight=weight).predict_proba(same[:1])[0, 1]
    assert p == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(len(Y)), "[Nn]egative"),
        (np.zeros(len(Y)), "zero"),
        (np.ones(len(Y) - 1), "sample_weight"),
        (np.full(len(Y), np.nan), "NaN"),
        (np.full(len(Y), np.inf), "inf"),
        (np.ones((len(Y), 2)), "1D|1-D|2D"),
        (["heavy"] * len(Y), "sample_weight must hold a number"),
    ],
)
def test_bad_sample_weights_raise(method, weight, message):
    classes = {"classes": [0, 1]} if method == "partial_fit" else {}
    with pytest.raises(ValueError, match=message):
        getattr(tiny(), method)(X, Y, sample_weight=weight, **classes)


def test_one_class_left_by_sample_weight_raises():
    with pytest.raises(ValueError, match=r"only one class: .*1"):
        tiny().fit(X, Y, sample_weight=Y.astype(float))


def test_class_weight_that_names_another_class_raises():
    with pytest.raises(ValueError, match="class_weight"):
        tiny(class_weight={0: 1, "other": 2}).fit(X, Y)


def test_sample_weight_is_not_changed():
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    before = weight.copy()
    tiny(class_weight="balanced").fit(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(weight, before)


def test_partial_fit_keeps_weights_comparable_between_calls():
    """A call with one class alone still counts by its class weight."""
    calls = [(X[is_one], Y[is_one]) for is_one in (Y < 1, Y > 0)]

    def after_both(class_weight):
        model = tiny(class_weight=class_weight, dropout=0.0)
        for part in calls:
            model.partial_fit(*part, classes=[0, 1])
        return model.decision_function(X).mean()

    assert after_both({0: 1, 1: 100}) > after_both(None) > after_both({0: 100, 1: 1})


def test_partial_fit_is_one_epoch_a_call_and_history_grows():
    model = tiny(max_epochs=7)
    for n_calls in (1, 2, 3):
        assert model.partial_fit(X, Y, classes=[0, 1]) is model
        assert model.history_["epoch"].tolist() == list(range(1, n_calls + 1))
        assert "valid_loss" not in model.history_


def test_partial_fit_learns():
    model = tiny(lr=0.05, dropout=0.0)
    for _ in range(25):
        model.partial_fit(X, Y, classes=[0, 1])
    assert model.score(X, Y) > 0.95


def test_partial_fit_continues_after_fit():
    model = tiny(max_epochs=3, early_stopping=False).fit(X, Y)
    before, n_epochs = model.history_["train_loss"].iloc[-1], len(model.history_)
    weights = weights_of(model)["head.weight"].copy()
    model.partial_fit(X, Y)
    assert len(model.history_) == n_epochs + 1
    moved = np.abs(weights_of(model)["head.weight"] - weights).max()
    assert 0 < moved < 0.01
    assert model.history_["train_loss"].iloc[-1] == pytest.approx(before, abs=0.1)


def test_fit_after_partial_fit_starts_anew():
    model = tiny().partial_fit(X, Y, classes=[0, 1])
    assert_same_bits(model.fit(X, Y), tiny().fit(X, Y))
    assert model.history_["epoch"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        (None, None, "classes must be passed on the first call"),
        ([0, 1, 2], [0, 1], "not the same"),
        ([0, 1], [0, 1, 2], "not the same"),
        ([0], None, "one class"),
        ([1, 2], None, "label"),
    ],
)
def test_partial_fit_needs_the_same_classes_from_the_first_call_on(first, later, message):
    model = tiny()
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, Y, classes=first).partial_fit(X, Y, classes=later)


def test_partial_fit_takes_classes_in_any_order_and_of_one_type():
    labels = np.array(["no", "yes"])[Y]
    model = tiny().partial_fit(X, labels, classes=pd.Series(["yes", "no", "maybe"]))
    assert model.classes_.tolist() == ["maybe", "no", "yes"]
    assert model.predict_proba(X).shape == (len(Y), 3)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([False, True]),
        np.array(["a", "b"]),
        np.array(["a", "b"], dtype=object),
        np.array([0.0, 1.0]),
        np.array([False, True], dtype=object),
    ],
    ids=lambda labels: f"{labels.dtype}-{labels[0]}",
)
def test_partial_fit_after_fit_knows_its_labels(labels):
    model = tiny().fit(X, labels[Y])
    model.partial_fit(X, pd.Series(labels[Y]))
    assert model.classes_.tolist() == labels.tolist()


def test_partial_fit_may_lack_a_class():
    model = tiny().partial_fit(X[Y == 0], Y[Y == 0], classes=[0, 1])
    assert model.predict_proba(X).shape == (len(Y), 2)


def test_partial_fit_refuses_a_label_that_is_no_class_and_does_not_print_it():
    with pytest.raises(ValueError, match="1 label") as error:
        tiny().partial_fit(X, [*Y[:-1], 987654], classes=[0, 1])
    assert "987654" not in str(error.value)


def test_partial_fit_refuses_balanced_class_weight():
    model = tiny(class_weight="balanced")
    with pytest.raises(ValueError, match=r"balanced.*partial_fit"):
        model.partial_fit(X, Y, classes=[0, 1])
    assert not hasattr(model, "net_")


def test_partial_fit_takes_larger_ids_later_as_unknown():
    larger = np.where(X == 3, 1000, X)
    unknown = np.where(X == 3, 1, X)
    one, other = (
        tiny().partial_fit(X, Y, classes=[0, 1]).partial_fit(later, Y)
        for later in (larger, unknown)
    )
    assert_same_bits(one, other)
    assert len(weights_of(one)["embedding.weight"]) == X.max() + 1


def test_history_is_a_frame_with_a_row_an_epoch():
    history = tiny(max_epochs=3).fit(X, Y).history_
    assert isinstance(history, pd.DataFrame)
    assert set(history.columns) == {"stage", "epoch", "lr", "dur", "train_loss", "valid_loss"}
    assert history["stage"].tolist() == ["fit"] * 3
    assert history["epoch"].tolist() == [1, 2, 3]
    assert np.isfinite(history.drop(columns="stage")).all(axis=None)


def test_callbacks_are_cloned():
    given = Spy()
    model = tiny(callbacks=[given]).fit(X, Y)
    assert vars(given) == {}
    assert model.callbacks == [given]
    assert dict(model.net_.callbacks_)["Spy"].n_epochs_ == 2
    model.partial_fit(X, Y)
    assert vars(given) == {}


@pytest.mark.parametrize("callbacks", [[("seen", Spy())], (("seen", Spy()),), [("seen", Spy)]])
def test_callbacks_may_be_named_tuples(callbacks):
    model = tiny(callbacks=callbacks).fit(X, Y)
    assert dict(model.net_.callbacks_)["seen"].n_epochs_ == 2


@pytest.mark.parametrize("callbacks", [[], (), None])
def test_no_callbacks(callbacks):
    assert_same_bits(tiny(callbacks=callbacks).fit(X, Y), tiny().fit(X, Y))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    ("scoring", "lower_is_better"),
    [("accuracy", False), ("neg_log_loss", False), ("roc_auc_ovr", False)],
)
@pytest.mark.usefixtures("without_bias_fit")
def test_epoch_scoring_by_name(n_classes, scoring, lower_is_better):
    X, y = visits(60, n_classes)
    scores = [
        EpochScoring(scoring, lower_is_better=lower_is_better, name="apart"),
        EpochScoring(scoring, lower_is_better=lower_is_better, name="seen", on_train=True),
    ]
    model = tiny(callbacks=scores, max_epochs=1, validation_fraction=0.5, dropout=0.0)
    model.set_params(callbacks=[*scores, KeepValidation()]).fit(X, y)
    valid = KeepValidation.valid
    encoded = valid.target.astype(int)
    assert {"apart", "seen"} <= set(model.history_)
    if scoring == "accuracy":
        assert model.history_["apart"][0] == model.score(valid.sequences, encoded)
    if scoring == "neg_log_loss":
        loss = validation_loss(model, valid.sequences, encoded)
        assert model.history_["apart"][0] == pytest.approx(-loss, abs=1e-5)


def test_epoch_scoring_by_a_function():
    def brier(net, X, y):
        return np.mean((net.predict_proba(X)[:, 1] - y) ** 2)

    model = tiny(callbacks=[EpochScoring(brier)]).fit(X, Y)
    assert model.history_["brier"].between(0, 1).all()


def test_scoring_callbacks_hold_no_outcomes_after_training():
    model = tiny(callbacks=[("auc", EpochScoring("roc_auc", lower_is_better=False))]).fit(X, Y)
    auc = dict(model.net_.callbacks_)["auc"]
    assert auc.y_trues_ == auc.y_preds_ == []


def test_learning_rate_scheduler():
    model = tiny(max_epochs=3, lr=0.1, early_stopping=False)
    model.set_params(callbacks=[LRScheduler("StepLR", step_size=1, gamma=0.1)]).fit(X, Y)
    np.testing.assert_allclose(model.history_["lr"], [0.1, 0.01, 0.001])


def test_gradient_norm_clipping_changes_training():
    clipped = tiny(callbacks=[GradientNormClipping(1e-8)], early_stopping=False).fit(X, Y)
    assert not same_bits(clipped, tiny(early_stopping=False).fit(X, Y))


def test_the_users_own_early_stopping():
    stopping = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0, sink=lambda _: None)
    model = tiny(max_epochs=20, early_stopping=False, callbacks=[stopping]).fit(X, Y)
    assert len(model.history_) == 3


@pytest.mark.parametrize(
    "params", [{}, {"aggregation": "attention", "num_layers": 2, "bidirectional": True}]
)
def test_same_seed_gives_same_bits(params):
    model = tiny(batch_size=16, **params)
    one = clone(model).fit(X, Y)
    torch.rand(7)
    np.random.random(7)  # noqa: NPY002
    other = clone(model).fit(X, Y)
    assert_same_bits(one, other)
    assert_same_bits(one.fit(X, Y), other)
    pd.testing.assert_frame_equal(
        one.history_.drop(columns="dur"), other.history_.drop(columns="dur")
    )


def test_threads_give_the_same_bits_as_one_after_the_other():
    fits = [delayed(tiny(random_state=seed).fit)(X, Y) for seed in range(4)]
    state = torch.random.get_rng_state()
    in_threads = Parallel(n_jobs=4, backend="threading")(fits)
    assert torch.equal(torch.random.get_rng_state(), state)
    for seed, model in enumerate(in_threads):
        assert_same_bits(model, tiny(random_state=seed).fit(X, Y))


def test_other_seed_gives_another_net():
    one, other = tiny(random_state=0).fit(X, Y), tiny(random_state=1).fit(X, Y)
    assert not same_bits(one, other)


def test_seed_reaches_the_initial_weights_and_the_order_of_samples():
    model = tiny(early_stopping=False, max_epochs=1, dropout=0.0, lr=1e-12)
    one, other = (clone(model).set_params(random_state=seed).fit(X, Y) for seed in (0, 1))
    assert np.abs(one.decision_function(X) - other.decision_function(X)).max() > 1e-3


def test_random_state_instance_goes_on_and_none_follows_numpys_seed():
    state = np.random.RandomState(0)
    model = tiny(random_state=state)
    assert not same_bits(clone(model).set_params(random_state=state).fit(X, Y), model.fit(X, Y))
    fits = []
    for _ in range(2):
        np.random.seed(3)  # noqa: NPY002
        fits.append(tiny(random_state=None).fit(X, Y))
    assert_same_bits(*fits)


@pytest.mark.parametrize("steps", ["fit", "partial_fit", "fail"])
def test_global_random_states_are_left_as_found(steps):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    if steps == "fit":
        model = tiny().fit(X, Y)
        for method in (model.predict, model.predict_proba, model.transform):
            method(X)
    elif steps == "partial_fit":
        tiny().partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    else:
        with pytest.raises(RuntimeError):
            tiny(callbacks=[Stop(RuntimeError(), 2)]).fit(X, Y)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_gradients_stay_as_they_were_enabled():
    tiny().fit(X, Y).predict(X)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("trip", ["pickle", "joblib"])
def test_round_trip_gives_same_bits_and_continues_alike(trip, tmp_path):
    model = tiny(callbacks=[LRScheduler("StepLR", step_size=1)]).fit(X, Y)
    if trip == "pickle":
        again = pickle.loads(pickle.dumps(model))
    else:
        joblib.dump(model, tmp_path / "model.joblib")
        again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    pd.testing.assert_frame_equal(again.history_, model.history_)
    assert_same_bits(again.partial_fit(X, Y), model.partial_fit(X, Y))


def fitted_attributes(model):
    return set(vars(model)) - set(model.get_params())


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("at", ["batch", "epoch"])
def test_training_that_fails_leaves_nothing_behind(method, at):
    model = tiny(callbacks=[Stop(RuntimeError("no"), 1, at)])
    with pytest.raises(RuntimeError, match="no"):
        getattr(model, method)(X, Y, **({} if method == "fit" else {"classes": [0, 1]}))
    assert fitted_attributes(model) == set()


def test_bad_input_leaves_nothing_behind():
    model = tiny()
    for bad_X, bad_y in [(X, Y[:-1]), (X.astype(float), Y), (X, np.zeros_like(Y))]:
        with pytest.raises((TypeError, ValueError)):
            model.fit(bad_X, bad_y)
    assert fitted_attributes(model) == set()


def test_fitted_model_survives_a_refit_that_fails():
    model = tiny().fit(X, Y)
    p, history = model.predict_proba(X), model.history_
    with pytest.raises(RuntimeError, match="no"):
        model.set_params(callbacks=[Stop(RuntimeError("no"), 2)]).fit(X, np.array(["a", "b"])[Y])
    np.testing.assert_array_equal(model.predict_proba(X), p)
    assert model.classes_.tolist() == [0, 1]
    assert model.history_ is history


def test_partial_fit_that_fails_leaves_the_estimator_as_it_was():
    model = tiny(callbacks=[Stop(RuntimeError("no"), 2, "epoch")])
    model.partial_fit(X, Y, classes=[0, 1])
    before, history = model.predict_proba(X), model.history_
    with pytest.raises(RuntimeError, match="no"):
        model.partial_fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert model.history_ is history
    assert len(model.net_.history) == 1


def test_interrupt_before_the_first_epoch_ends_is_passed_on():
    model = tiny(callbacks=[Stop(KeyboardInterrupt(), 1)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert fitted_attributes(model) == set()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupt_later_warns_and_keeps_what_was_learnt(early_stopping):
    """As skorch's nets and scikit-learn's MLPClassifier do."""
    model = tiny(
        max_epochs=9, early_stopping=early_stopping, callbacks=[Stop(KeyboardInterrupt(), 3)]
    )
    with pytest.warns(UserWarning, match="interrupted by user") as record:
        model.fit(X, Y)
    assert record[0].filename == __file__
    assert model.history_["epoch"].tolist() == [1, 2]
    assert np.isfinite(model.predict_proba(X)).all()


def test_interrupt_of_a_fit_with_early_stopping_restores_the_best_weights():
    model = tiny(max_epochs=2).fit(X, Y)
    interrupted = tiny(max_epochs=9, callbacks=[Stop(KeyboardInterrupt(), 3)])
    with pytest.warns(UserWarning, match="interrupted by user"):
        interrupted.fit(X, Y)
    assert_same_bits(interrupted, model)


def test_callback_that_stops_after_an_epoch_is_no_interruption():
    model = tiny(
        max_epochs=9, early_stopping=False, callbacks=[Stop(KeyboardInterrupt(), 3, "epoch")]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*samples to learn from")
        model.fit(X, Y)
    assert len(model.history_) == 3


def test_divergence_raises():
    model = tiny(lr=1e38, max_epochs=5, early_stopping=False)
    with pytest.raises(ValueError, match=r"diverged.*lr"):
        model.fit(X, Y)
    assert fitted_attributes(model) == set()


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "meta", "cpu:x"])
def test_device_that_is_not_there_raises(device):
    with pytest.raises(ValueError, match="device="):
        tiny(device=device).fit(X, Y)


def test_auto_takes_what_there_is():
    model = tiny(device="auto").fit(X, Y)
    assert model.device == "auto"
    assert model.net_.device == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_predicts_as_cpu_and_leaves_its_random_state(monkeypatch):
    # By default cuDNN rounds the inputs of an LSTM's products to ten bits (TF32).
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    on_gpu = tiny(device="cuda").fit(X, Y)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    np.testing.assert_array_equal(
        on_gpu.predict_proba(X), tiny(device="cuda").fit(X, Y).predict_proba(X)
    )
    p = on_gpu.predict_proba(X)
    again = pickle.load(io.BytesIO(pickle.dumps(on_gpu)))
    np.testing.assert_array_equal(again.predict_proba(X), p)
    on_cpu = tiny(device="cpu", max_epochs=1).fit(X, Y)
    on_cpu.net_.module_.load_state_dict(
        {name: value.cpu() for name, value in on_gpu.net_.module_.state_dict().items()}
    )
    np.testing.assert_allclose(on_cpu.predict_proba(X), p, atol=1e-5)


def test_numpy_scalars_are_parameters_like_any_number():
    scalars = {
        "embedding_dim": np.int64(8),
        "hidden_dim": np.int32(8),
        "num_layers": np.int64(2),
        "bidirectional": np.bool_(True),
        "mlp_dim": np.int64(4),
        "dropout": np.float64(0.25),
        "lr": np.float64(0.5),
        "weight_decay": np.float64(0.5),
        "batch_size": np.int64(16),
        "max_epochs": np.int64(2),
        "n_iter_no_change": np.int64(2),
        "aggregation": np.str_("max"),
        "random_state": np.int64(0),
    }
    plain = {name: value.item() for name, value in scalars.items()}
    model = tiny(**scalars).fit(X, Y)
    assert_same_bits(model, tiny(**plain).fit(X, Y))
    assert type(model.hidden_dim) is np.int32


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lr", (1e-3, 1e-1)),
        ("weight_decay", (0.0, 10.0)),
        ("dropout", (0.0, 0.5)),
        ("batch_size", (8, 60)),
        ("max_epochs", (1, 2)),
        ("validation_fraction", (0.1, 0.4)),
        ("aggregation", ("mean", "sum")),
        ("mlp_dim", (0, 8)),
    ],
)
def test_every_training_parameter_makes_a_difference(name, values):
    one, other = (tiny(**{name: value}).fit(X, Y) for value in values)
    assert not same_bits(one, other)


@pytest.mark.parametrize(
    ("params", "name", "shape"),
    [
        ({"embedding_dim": 5}, "embedding.weight", (6, 5)),
        ({"hidden_dim": 3}, "lstm.weight_hh_l0", (12, 3)),
        ({"num_layers": 2}, "lstm.weight_hh_l1", (32, 8)),
        ({"mlp_dim": 7}, "mlp.0.weight", (7, 8)),
        ({"bidirectional": True}, "lstm.weight_hh_l0_reverse", (32, 8)),
        ({"aggregation": "attention"}, "encoder.attention.0.weight", (4, 8)),
    ],
)
def test_every_parameter_of_the_network_reaches_it(params, name, shape):
    assert weights_of(tiny(**params).fit(X, Y))[name].shape == shape


def test_sequences_without_padding_and_with_train_alike():
    padded = np.pad(X, [(0, 0), (0, 2), (0, 3)])
    one, other = tiny().fit(padded, Y), tiny().fit(VisitSequences.from_padded(X), Y)
    assert_same_bits(one, other)


class KeepTraining(Callback):
    """Keeps on the class what each training of a fit trained on, validated on, and for how long."""

    def on_train_begin(self, net, X=None, **kwargs):
        type(self).sizes.append(len(X))

    def on_train_end(self, net, **kwargs):
        type(self).n_epochs.append(len(net.history))


def test_refit_trains_anew_on_all_samples_for_as_many_epochs_as_were_best():
    KeepTraining.sizes, KeepTraining.n_epochs = [], []
    model = tiny(max_epochs=6, refit=True, validation_fraction=0.3, callbacks=[KeepTraining()])
    history = model.fit(X, Y).history_
    first, second = history[history["stage"] == "fit"], history[history["stage"] == "refit"]
    assert KeepTraining.sizes == [42, 60]
    assert KeepTraining.n_epochs == [len(first), first["valid_loss"].argmin() + 1]
    assert len(second) == len(model.net_.history) == KeepTraining.n_epochs[1]


def test_refit_is_the_same_training_as_one_without_early_stopping():
    model = tiny(max_epochs=6, refit=True).fit(X, Y)
    n_epochs = (model.history_["stage"] == "refit").sum()
    plain = tiny(max_epochs=n_epochs, early_stopping=False).fit(X, Y)
    assert_same_bits(model, plain)


def test_refit_has_no_validation():
    history = tiny(refit=True).fit(X, Y).history_
    assert history.loc[history["stage"] == "refit", "valid_loss"].isna().all()
    assert history["train_loss"].notna().all()


@pytest.mark.parametrize(
    ("history", "epoch"),
    [
        ({"valid_loss": [0.9, 0.5, 0.7]}, 2),
        ({"valid_loss": [0.9, 0.5, 0.5]}, 2),
        ({"valid_loss": [0.5, 0.6, 0.7], "valid_score": [0.7, 0.9, 0.8]}, 2),
    ],
)
def test_best_epoch_is_that_of_the_lowest_loss_or_the_highest_score(history, epoch):
    assert best_epoch(pd.DataFrame(history)) == epoch


@pytest.mark.parametrize(
    "callback",
    [
        EarlyStopping(patience=2, sink=lambda _: None),
        LRScheduler("ReduceLROnPlateau", monitor="valid_loss"),
        ("best", Checkpoint()),
        EarlyStopping,
    ],
)
def test_callback_that_monitors_validation_is_refused_with_a_refit(callback):
    with pytest.raises(ValueError, match=r"monitor='valid_loss.*refit=False"):
        tiny(refit=True, callbacks=[callback]).fit(X, Y)


def test_scoring_callbacks_and_schedules_work_with_a_refit():
    callbacks = [
        EpochScoring("accuracy", lower_is_better=False),
        LRScheduler("StepLR", step_size=1),
    ]
    history = tiny(refit=True, lr=2e-3, callbacks=callbacks).fit(X, Y).history_
    first, second = (history[history["stage"] == stage] for stage in ("fit", "refit"))
    assert first["accuracy"].notna().all()
    np.testing.assert_allclose(second["lr"], [2e-3, 2e-4][: len(second)])


@pytest.mark.parametrize("n_trainings", [1, 2])
def test_interrupted_refit_warns_and_keeps_what_was_learnt(n_trainings):
    class Interrupt(Callback):
        n_left = n_trainings

        def on_train_begin(self, net, **kwargs):
            type(self).n_left -= 1

        def on_batch_begin(self, net, **kwargs):
            if self.n_left == 0 and len(net.history) == 2:
                raise KeyboardInterrupt

    model = tiny(max_epochs=3, refit=True, callbacks=[Interrupt()])
    with pytest.warns(UserWarning, match="interrupted by user") as caught:
        model.fit(X, Y)
    assert {warning.filename for warning in caught} == {__file__}
    n_epochs = 1 if n_trainings == 1 else 3
    assert len(model.history_) == n_epochs
    # The model of the first training, which is complete in the second case.
    first = tiny(max_epochs=n_epochs, refit=False).fit(X, Y)
    np.testing.assert_allclose(model.predict_proba(X), first.predict_proba(X), atol=1e-6)


def test_refit_that_a_callback_stops_is_kept():
    class StopSecond(Callback):
        n_trainings = 0

        def on_train_begin(self, net, **kwargs):
            type(self).n_trainings += 1

        def on_epoch_end(self, net, **kwargs):
            if self.n_trainings == 2:
                raise KeyboardInterrupt

    model = tiny(max_epochs=3, lr=0.03, refit=True, callbacks=[StopSecond()]).fit(X, Y)
    assert model.history_["stage"].tolist() == ["fit"] * 3 + ["refit"]
    once = tiny(max_epochs=1, lr=0.03, early_stopping=False).fit(X, Y)
    assert_same_bits(model, once)


def test_history_goes_on_after_refit_with_the_epochs_of_partial_fit():
    model = tiny(max_epochs=3, refit=True).fit(X, Y)
    before = model.history_
    model.partial_fit(X, Y)
    pd.testing.assert_frame_equal(model.history_[:-1][before.columns], before)
    assert len(model.history_) == len(before) + 1
    last = model.history_.iloc[-1]
    assert last["stage"] == "partial_fit"
    assert np.isnan(last["valid_loss"])
