"""Threads of torch in a fit and in a prediction."""

import threading

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from skorch.callbacks import Callback

from sklearn_ehr import LSTMVisitClassifier

X = np.random.default_rng(0).integers(2, 9, (80, 3, 2))
Y = np.arange(80) % 2


@pytest.fixture(autouse=True)
def two_threads():
    found = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(found)


class Count(Callback):
    """Keeps on the class the numbers of threads that each epoch sees; may fail."""

    seen = []

    def __init__(self, fails=False):
        self.fails = fails

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(torch.get_num_threads())
        if self.fails:
            raise RuntimeError("no")


@pytest.fixture(autouse=True)
def nothing_seen():
    Count.seen = []


def tiny(**params):
    defaults = {
        "embedding_dim": 4,
        "hidden_dim": 4,
        "max_epochs": 2,
        "refit": False,
        "device": "cpu",
    }
    return LSTMVisitClassifier(**(defaults | {"random_state": 0, "callbacks": [Count()]} | params))


def weights_of(model):
    return [weight.detach().numpy() for weight in model.net_.module_.parameters()]


def test_a_fit_uses_one_thread_and_restores_the_number():
    tiny().fit(X, Y)
    assert Count.seen == [1, 1]
    assert torch.get_num_threads() == 2


def test_partial_fit_uses_one_thread_and_restores_the_number():
    tiny().partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    assert Count.seen == [1, 1]
    assert torch.get_num_threads() == 2


def test_a_prediction_uses_one_thread_and_restores_the_number():
    model = tiny().fit(X, Y)
    seen = []
    model.net_.module_.encoder.register_forward_hook(
        lambda *_: seen.append(torch.get_num_threads())
    )
    model.predict_proba(X)
    assert seen == [1]
    assert torch.get_num_threads() == 2


def test_scoring_in_a_fit_leaves_one_thread_for_the_rest_of_it():
    tiny(scoring="neg_log_loss").fit(X, Y)
    assert Count.seen == [1, 1]
    assert torch.get_num_threads() == 2


def test_a_fit_that_fails_restores_the_number():
    with pytest.raises(RuntimeError, match="no"):
        tiny(callbacks=[Count(fails=True)]).fit(X, Y)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("n_threads", [1, 3])
def test_bits_are_the_same_whatever_number_of_threads_torch_is_set_to(n_threads):
    wanted = tiny().fit(X, Y)
    torch.set_num_threads(n_threads)
    model = tiny().fit(X, Y)
    for one, other in zip(weights_of(model), weights_of(wanted), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.predict_proba(X), wanted.predict_proba(X))
    assert torch.get_num_threads() == n_threads


def test_fits_in_threads_run_side_by_side_with_the_bits_of_fits_one_after_the_other():
    both_in_training = threading.Barrier(2, timeout=60)

    class Meet(Callback):
        def on_epoch_begin(self, net, **kwargs):
            both_in_training.wait()

    fits = [delayed(tiny(callbacks=[Meet()], random_state=seed).fit)(X, Y) for seed in (1, 2)]
    models = Parallel(n_jobs=2, backend="threading")(fits)
    for seed, model in zip((1, 2), models, strict=True):
        alone = tiny(random_state=seed).fit(X, Y)
        for one, other in zip(weights_of(model), weights_of(alone), strict=True):
            np.testing.assert_array_equal(one, other)
    assert torch.get_num_threads() == 2


def test_another_thread_keeps_its_own_number():
    ready, is_fitted, seen = threading.Event(), threading.Event(), []

    def work():
        torch.set_num_threads(3)
        # Until a thread first asks or computes, it takes up what any thread sets.
        assert torch.get_num_threads() == 3
        ready.set()
        is_fitted.wait()
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    tiny().fit(X, Y)
    is_fitted.set()
    thread.join()
    assert seen == [3]
    assert torch.get_num_threads() == 2
