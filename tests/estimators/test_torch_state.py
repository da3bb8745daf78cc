"""Estimators under whatever torch is set to, which they leave as found."""

import threading

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
from sklearn_ehr.estimators._dataset import VisitDataset

TINY = {
    "embedding_dim": 4,
    "hidden_dim": 4,
    "num_layers": 2,
    "mlp_dim": 4,
    "max_epochs": 2,
    "batch_size": 16,
    "random_state": 0,
    "device": "cpu",
}
COHORT, RISK = make_visits(80, n_codes=30, random_state=0)
X = VisitSequenceTransformer(min_frequency=3).fit_transform(COHORT)
Y = np.arange(80) % 2
SURVIVAL = np.rec.fromarrays([Y > 0, np.arange(80.0)])
TAGS = [np.arange(n) % 2 for n in X.lengths]
VECTORS = {code: np.arange(4) for code in X.vocabulary.codes}


def classifier(**params):
    return LSTMVisitClassifier(**(TINY | params))


def weights_of(model):
    return {name: w.numpy().copy() for name, w in model.net_.module_.state_dict().items()}


def assert_same_bits(one, other):
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


STATES = {
    "no_grad": torch.no_grad,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default device": lambda: torch.device("meta"),
}
EVERY_STATE = pytest.mark.parametrize("state", STATES.values(), ids=STATES)


@EVERY_STATE
@pytest.mark.parametrize(
    "params",
    [{}, {"time_gaps": True}, {"aggregation": "attention"}, {"embedding_init": VECTORS}],
    ids=lambda params: "-".join(params) or "plain",
)
def test_fit_and_predict_under_a_state_of_torch_are_those_without(state, params):
    wanted = classifier(**params).fit(X, Y)
    with state():
        model = classifier(**params).fit(X, Y)
        p = model.predict_proba(X)
    assert_same_bits(model, wanted)
    np.testing.assert_array_equal(p, wanted.predict_proba(X))
    assert model.predict_proba_by_visit(X)[0].dtype == np.float64


@EVERY_STATE
@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (LSTMVisitClassifier, np.stack([Y, 1 - Y], axis=1)),
        (LSTMVisitRegressor, RISK),
        (LSTMVisitSurvival, SURVIVAL),
        (LSTMVisitTagger, TAGS),
    ],
    ids=["multilabel", "regressor", "survival", "tagger"],
)
def test_every_estimator_works_under_a_state_of_torch(state, estimator, y):
    wanted = estimator(**TINY).fit(X, y)
    with state():
        model = estimator(**TINY).fit(X, y)
        predicted = model.predict(X)
    assert_same_bits(model, wanted)
    for one, other in zip(predicted, wanted.predict(X), strict=True):
        np.testing.assert_array_equal(one, other)


@EVERY_STATE
def test_partial_fit_goes_on_under_a_state_of_torch(state):
    wanted = classifier().partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    model = classifier().partial_fit(X, Y, classes=[0, 1])
    with state():
        model.partial_fit(X, Y)
    assert_same_bits(model, wanted)


@pytest.fixture
def default_dtype():
    yield torch.set_default_dtype
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("estimator", "y", "params"),
    [
        (LSTMVisitClassifier, Y, {}),
        (LSTMVisitClassifier, Y, {"embedding_init": VECTORS}),
        (LSTMVisitClassifier, Y, {"time_gaps": True, "scoring": "neg_log_loss"}),
        (LSTMVisitClassifier, Y, {"aggregation": "attention", "refit": True}),
        (LSTMVisitRegressor, RISK, {}),
        (LSTMVisitSurvival, SURVIVAL, {}),
        (LSTMVisitTagger, TAGS, {}),
    ],
)
def test_networks_are_of_32_bit_floats_whatever_the_default(
    dtype, estimator, y, params, default_dtype
):
    wanted = estimator(**TINY | params).fit(X, y)
    default_dtype(dtype)
    model = estimator(**TINY | params).fit(X, y)
    assert {weight.dtype for weight in model.net_.module_.parameters()} == {torch.float32}
    assert_same_bits(model, wanted)
    for one, other in zip(model.predict(X), wanted.predict(X), strict=True):
        np.testing.assert_array_equal(one, other)
    assert torch.get_default_dtype() == dtype


def test_deterministic_algorithms_do_what_they_do_without():
    wanted = classifier().fit(X, Y)
    torch.use_deterministic_algorithms(True)
    try:
        model = classifier().fit(X, Y)
    finally:
        torch.use_deterministic_algorithms(False)
    assert_same_bits(model, wanted)


class See(Callback):
    """Keeps on the class the state of torch in training."""

    def on_epoch_end(self, net, **kwargs):
        type(self).seen = {
            "gradients": torch.is_grad_enabled(),
            "inference": torch.is_inference_mode_enabled(),
            "autocast": torch.is_autocast_enabled("cpu"),
            "device": torch.empty(0).device,
        }


def test_training_has_gradients_and_no_autocast():
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        classifier(callbacks=[See()]).fit(X, Y)
    cpu = torch.device("cpu")
    assert See.seen == {"gradients": True, "inference": False, "autocast": False, "device": cpu}


class Fail(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise RuntimeError("no")


@pytest.mark.parametrize("fails", [False, True])
def test_state_of_torch_is_left_as_found(fails):
    with torch.device("meta"), torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        if fails:
            with pytest.raises(RuntimeError, match="no"):
                classifier(callbacks=[Fail()]).fit(X, Y)
        else:
            classifier().fit(X, Y).predict(X)
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
        assert torch.empty(0).device == torch.device("meta")


class Draw(Callback):
    """Draws from torch's global generator, and seeds it, as a user's callback may."""

    def on_batch_begin(self, net, **kwargs):
        torch.rand(3)

    def on_epoch_begin(self, net, **kwargs):
        torch.manual_seed(1)


def test_callbacks_that_use_torchs_global_generator_change_nothing():
    assert_same_bits(classifier(callbacks=[Draw()]).fit(X, Y), classifier().fit(X, Y))


def test_another_thread_that_draws_and_seeds_changes_nothing():
    wanted = classifier(aggregation="attention").fit(X, Y)
    is_done, n_draws = threading.Event(), 0

    def draw():
        nonlocal n_draws
        while not is_done.is_set():
            torch.manual_seed(n_draws)
            torch.rand(9)
            n_draws += 1

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        model = classifier(aggregation="attention").fit(X, Y)
    finally:
        is_done.set()
        thread.join()
    assert n_draws > 1
    assert_same_bits(model, wanted)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_torchs_global_generator_is_not_used(method, monkeypatch):
    """Not even for a while: another thread would see that."""

    def refuse(*args, **kwargs):
        raise AssertionError("the global generator was touched")

    torch.manual_seed(4)
    before = torch.get_rng_state()
    for name in ("seed", "set_rng_state", "manual_seed"):
        monkeypatch.setattr(torch.random, name, refuse)
        monkeypatch.setattr(torch, name, refuse)
    monkeypatch.setattr(torch.random, "fork_rng", refuse)
    model = classifier()
    if method == "fit":
        model.fit(X, Y)
    else:
        model.partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    model.predict_proba(X)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fitted_net_holds_no_generator_and_drops_by_the_global_one():
    model = classifier().fit(X, Y)
    assert model.net_.generator_ is None
    assert model.net_.module_.dropout.generator is None


def test_net_as_a_model_of_skorch_leaves_the_global_generator():
    model = classifier().fit(X, Y)
    before = torch.get_rng_state()
    model.net_.predict_proba(VisitDataset(X, Y, np.ones(len(Y))))
    assert torch.equal(torch.get_rng_state(), before)
