"""Parameters and codes that change between calls of `partial_fit`."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from skorch.callbacks import EpochTimer, LRScheduler

from sklearn_ehr import LSTMVisitClassifier

X = np.random.default_rng(0).integers(2, 9, (80, 3, 2))
Y = np.arange(80) % 2


def tiny(**params):
    defaults = {"embedding_dim": 4, "hidden_dim": 4, "num_layers": 2, "mlp_dim": 4, "max_epochs": 2}
    return LSTMVisitClassifier(**(defaults | {"random_state": 0, "device": "cpu"} | params))


def started(method="partial_fit", **params):
    if method == "fit":
        return tiny(**params).fit(X, Y)
    return tiny(**params).partial_fit(X, Y, classes=[0, 1])


def weights_of(model):
    return {name: w.numpy().copy() for name, w in model.net_.module_.state_dict().items()}


def same_bits(one, other):
    one, other = weights_of(one), weights_of(other)
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.1),
        ("weight_decay", 0.0),
        ("batch_size", 7),
        ("dropout", 0.0),
        ("class_weight", {0: 1, 1: 3}),
    ],
)
def test_a_change_of_training_takes_effect(method, name, value):
    model, unchanged = started(method), started(method)
    model.set_params(**{name: value}).partial_fit(X, Y)
    assert not same_bits(model, unchanged.partial_fit(X, Y))


def test_a_change_is_what_the_first_call_would_have_made_of_the_later_ones():
    changed = started(lr=1e-30, dropout=0.0, weight_decay=0.0, batch_size=9)
    changed.set_params(lr=0.01, dropout=0.5, weight_decay=0.3, batch_size=16)
    other = started(lr=1e-30, dropout=0.0, weight_decay=0.0, batch_size=9)
    np.testing.assert_array_equal(changed.predict_proba(X), other.predict_proba(X))
    changed.partial_fit(X, Y)
    groups = changed.net_.optimizer_.param_groups
    assert [group["lr"] for group in groups] == [0.01, 0.01]
    # The embedding is never decayed.
    assert [group["weight_decay"] for group in groups] == [0.0, 0.3]
    assert changed.net_.module_.dropout.p == changed.net_.module_.mlp[2].p == 0.5
    assert changed.history_["lr"].tolist() == [1e-30, 0.01]


def test_a_learning_rate_that_is_not_changed_stays_what_a_scheduler_made_of_it():
    model = started(lr=0.1, callbacks=[LRScheduler("StepLR", step_size=1, gamma=0.5)])
    model.partial_fit(X, Y)
    assert model.history_["lr"][0] == 0.1
    assert model.history_["lr"][1] < 0.1


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("embedding_dim", 5),
        ("embedding_init", {"a": np.ones(4)}),
        ("embedding_init", pd.DataFrame(np.ones((1, 4)))),
        ("hidden_dim", 5),
        ("num_layers", 1),
        ("aggregation", "max"),
        ("mlp_dim", 0),
        ("bidirectional", True),
        ("time_gaps", True),
        ("average", True),
        ("device", "auto"),
        ("callbacks", [EpochTimer()]),
        ("random_state", 1),
    ],
)
def test_a_change_of_the_network_raises_and_changes_nothing(method, name, value):
    model = started(method)
    before = weights_of(model)
    with pytest.raises(ValueError, match=f"so {name} cannot be changed between calls"):
        model.set_params(**{name: value}).partial_fit(X, Y)
    for weight, was in zip(weights_of(model).values(), before.values(), strict=True):
        np.testing.assert_array_equal(weight, was)


@pytest.mark.parametrize(
    "params",
    [
        {"max_epochs": 3},
        {"early_stopping": False},
        {"refit": True},
        {"scoring": "roc_auc"},
        {"validation_fraction": 0.3},
        {"n_iter_no_change": 2},
        {"embedding_dim": np.int64(4)},
    ],
)
def test_a_change_of_what_is_not_used_is_ignored(params):
    model = started().set_params(**params).partial_fit(X, Y)
    assert same_bits(model, started().partial_fit(X, Y))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_goes_on_with_its_callbacks(copied):
    model = started(callbacks=[EpochTimer()])
    assert same_bits(copied(model).partial_fit(X, Y), model.partial_fit(X, Y))


def test_codes_that_the_first_call_did_not_have_are_told_once():
    model = started()
    later = np.where(X == 3, 50, np.where(X == 4, 60, X))
    with pytest.warns(UserWarning, match=r"^2 code\(s\) of X are unknown .* up to 8 only") as told:
        model.partial_fit(later, Y)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(later + 1, Y)


def test_known_codes_are_told_nothing():
    model = started()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(np.full_like(X, 8), Y)
