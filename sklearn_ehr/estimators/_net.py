"""Training of networks on visits: the only module that uses skorch."""

from contextlib import contextmanager
from copy import deepcopy
from inspect import signature

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch.optim.swa_utils import AveragedModel

from ..nn import LengthBucketSampler
from ._history import diverged, is_complete
from ._interrupts import calling_on_interrupt

# A constant answer has a loss of about 1, or of 1 for each interval of time. A good training may
# begin with an epoch of 10; beyond 1,000, losses grow without bound.
_ABSURD_LOSS = 1000


class AverageWeights(Callback):
    """Average a net's weights over about the last tenth of its training steps [1]_.

    Training goes on from the weights that are not averaged. The net validates, is called back
    after an epoch, and predicts with the average.

    References
    ----------
    .. [1] O. Shamir and T. Zhang, "Stochastic gradient descent for non-smooth optimization:
       convergence results and optimal averaging schemes", ICML 2013, PMLR 28(1), p. 71-79:
       polynomial-decay averaging, with an exponent of 8.
    """

    def on_train_begin(self, net, **kwargs):
        """Start with the weights as they are."""
        # Of the two modules, one holds the weights in training and the other their average.
        self._other = AveragedModel(net.module_, avg_fn=_polynomial_decay)
        self._is_average_in_net = False

    def on_batch_begin(self, net, training=False, **kwargs):
        """Put the weights in the net that this batch needs."""
        self._put_in_net(net, average=not training)

    def on_batch_end(self, net, training=False, **kwargs):
        """Take the weights after a training step into the average."""
        if training:
            self._other.update_parameters(net.module_)

    def on_epoch_end(self, net, **kwargs):
        """Have the average in the net between epochs."""
        self._put_in_net(net, average=True)

    def on_train_end(self, net, **kwargs):
        """Leave the average in the net."""
        self._put_in_net(net, average=True)
        del self._other

    @torch.no_grad()
    def _put_in_net(self, net, *, average):
        if average == self._is_average_in_net:
            return
        self._is_average_in_net = average
        pairs = zip(net.module_.parameters(), self._other.parameters(), strict=True)
        for in_net, other in pairs:
            kept = in_net.clone()
            in_net.copy_(other)
            other.copy_(kept)


def _polynomial_decay(average, weights, n_averaged):
    return torch.lerp(average, weights, 9 / (n_averaged.to(average.dtype) + 9))


# Before skorch 1.1, a NeuralNet is no BaseEstimator and lacks the tags scikit-learn asks for.
class VisitNet(NeuralNet, BaseEstimator):
    """A skorch net that takes a `VisitBatch` with weights, and weighs each sample's loss.

    Its initial weights and the order of samples are drawn from `generator_`, and on other devices
    than the CPU the seed of what drops units. None is torch's global generator.
    """

    generator_ = None
    is_interrupted_ = False

    def __deepcopy__(self, memo):
        # Before skorch 1.2, its way over a pickle fails with torch 2.6 and later.
        memo[id(self)] = copied = object.__new__(type(self))
        vars(copied).update(deepcopy(vars(self), memo))
        return copied

    @contextmanager
    def seeded(self, seed):
        """Draw from generators of its own; torch's global ones are neither used nor changed."""
        self.generator_ = torch.Generator("cpu").manual_seed(int(seed))
        try:
            yield
        finally:
            del self.generator_

    def initialize_module(self):
        """Build the module of 32-bit floats, with weights drawn from the net's generator."""
        # On this device there is nothing to draw: torch's layers would do it from the global one.
        with torch.device("meta"):
            super().initialize_module()
        self.module_.float().to_empty(device="cpu").reset_parameters(self.generator_)
        return self

    def infer(self, x, **fit_params):
        """Return the module's output for a batch; of one dimension where it is one number."""
        visits, _ = x
        return self.module_(visits.to(self.device)).squeeze(-1)

    def get_iterator(self, dataset, training=False):
        """Return the batches: of samples of similar length in training, else in their order."""
        # Every loader draws a seed for workers that it does not have.
        options = {"collate_fn": _as_is, "generator": torch.Generator("cpu")}
        if training:
            lengths = torch.from_numpy(dataset.lengths)
            options["batch_sampler"] = LengthBucketSampler(
                lengths, self.batch_size, generator=self.generator_
            )
        else:
            options["batch_size"] = self.batch_size
        return torch.utils.data.DataLoader(dataset, **options)

    def get_loss(self, y_pred, y_true, X, training=False):
        """Return the mean of the samples' weighted losses."""
        _, weight = X
        loss = _mean_over_outcomes(self.criterion_(y_pred, y_true.to(self.device)))
        return (loss * weight.to(self.device)).mean()

    def on_train_begin(self, net, **kwargs):
        """Have the module draw which units it drops from a generator on its device."""
        super().on_train_begin(net, **kwargs)
        generator = self.generator_
        if generator is not None and torch.device(self.device).type != "cpu":
            generator = torch.Generator(self.device).manual_seed(generator.initial_seed())
        self.module_.drop_by(generator)

    def on_batch_end(self, net, training=False, **kwargs):
        """Stop a training that diverges."""
        super().on_batch_end(net, training=training, **kwargs)
        loss = self.history[-1]["batches"][-1]["train_loss" if training else "valid_loss"]
        if not np.isfinite(loss):
            raise ValueError(diverged(self, f"the loss is {loss}"))

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """Stop a training whose losses are finite but absurd."""
        super().on_epoch_end(net, dataset_train=dataset_train, **kwargs)
        batches = [batch for batch in self.history[-1]["batches"] if "train_loss" in batch]
        sizes = [batch["train_batch_size"] for batch in batches]
        loss = np.average([batch["train_loss"] for batch in batches], weights=sizes)
        if loss > _ABSURD_LOSS * dataset_train.mean_weight:
            raise ValueError(diverged(self, f"the mean loss is {loss:.3g}"))

    def retune(self, *, lr, optimizer__weight_decay, batch_size, module__dropout):
        """Change parameters of a net that is initialised, and go on with its weights."""
        self.batch_size = batch_size
        # The last group has all weights but the embedding's.
        *_, group = groups = self.optimizer_.param_groups
        group["weight_decay"] = self.optimizer__weight_decay = optimizer__weight_decay
        if lr != self.lr:
            # Otherwise it stays what a scheduler among the callbacks made of it.
            self.lr = lr
            for group in groups:
                group["lr"] = lr
        self.module__dropout = module__dropout
        for module in self.module_.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = module__dropout

    def on_epoch_begin(self, net, **kwargs):
        """Record the learning rate that an epoch starts with."""
        super().on_epoch_begin(net, **kwargs)
        self.history.record("lr", self.optimizer_.param_groups[0]["lr"])

    def on_train_end(self, net, **kwargs):
        """Leave an epoch incomplete at the end of which the user interrupted training.

        Callbacks raise the same error to stop after an epoch.
        """
        super().on_train_end(net, **kwargs)
        if self.is_interrupted_ and self.history:
            self.history[-1].pop("dur", None)

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train, and be ready to predict however that ends."""
        self.is_interrupted_ = False
        try:
            with calling_on_interrupt(lambda: vars(self).update(is_interrupted_=True)):
                return super().partial_fit(X, y, classes, **fit_params)
        finally:
            if self.initialized_:
                self.module_.eval().drop_by(None)


class VisitClassifierNet(ClassifierMixin, VisitNet):
    """A net for encoded classes, which skorch's scoring callbacks can ask like any classifier."""

    @property
    def classes_(self):
        """Codes of the classes."""
        return np.arange(max(2, self.module__output_dim))

    def predict(self, X):
        """Return the code of the most probable class."""
        return self.predict_proba(X).argmax(axis=1)


class VisitMultilabelNet(VisitClassifierNet):
    """The same for labels that are each there or not, whose logits skorch cannot read."""

    def predict_proba(self, X):
        """Return the probability of each label."""
        return self.forward(X).detach().sigmoid().numpy()

    def predict(self, X):
        """Return which labels are more probable than not."""
        return (self.predict_proba(X) > 0.5).astype(np.int64)


class VisitRegressorNet(RegressorMixin, VisitNet):
    """A net for numbers, in the scale they are trained in."""


class VisitTaggerNet(VisitNet):
    """A net that answers after each visit; a negative target, or NaN, is a missing one."""

    def infer(self, x, **fit_params):
        """Return the module's output after each visit of a batch."""
        visits, _ = x
        return self.module_.forward_by_visit(visits.to(self.device))

    def get_loss(self, y_pred, y_true, X, training=False):
        """Return the mean of the samples' weighted sums of losses over labelled visits."""
        visits, weight = X
        y_true = y_true.to(self.device)
        is_missing = ~(y_true >= 0)
        if y_pred.shape[1] == 1:
            # A column of logits where the target is one, of one label or of two classes.
            y_pred = y_pred.view_as(y_true)
        loss = self.criterion_(y_pred, y_true.masked_fill(is_missing, 0))
        loss = _mean_over_outcomes(loss.masked_fill(is_missing, 0))
        weight = weight.repeat_interleave(torch.as_tensor(visits.lengths)).to(self.device)
        return (loss * weight).sum() / len(visits)


def check_callbacks(callbacks):
    """Refuse what skorch could not call."""
    for callback in callbacks:
        kind = _kind_of(callback)
        if not issubclass(kind, Callback):
            raise TypeError(
                f"callbacks holds one of type {kind.__name__}; give skorch callbacks, such as "
                f"skorch.callbacks.EpochTimer(), or (name, callback) pairs."
            )


def refuse_monitors(callbacks, has_validation, will_refit):
    """Refuse callbacks that monitor a validation which there is not."""
    if has_validation and not will_refit:
        return
    for callback in callbacks or ():
        monitor = getattr(_named(callback), "monitor", None)
        if isinstance(_named(callback), type):
            # Its default.
            parameters = signature(_named(callback)).parameters
            monitor = parameters["monitor"].default if "monitor" in parameters else None
        if isinstance(monitor, str) and monitor.startswith("valid"):
            reason = "refit=True trains a second time without validation. Set refit=False"
            if not has_validation:
                reason = "there is no validation set. Set early_stopping=True"
            raise ValueError(
                f"callbacks holds a {_kind_of(callback).__name__} with monitor={monitor!r}, but "
                f"{reason}, or monitor 'train_loss'."
            )


def _named(callback):
    """A callback without its name; skorch takes classes too."""
    return callback[1] if isinstance(callback, tuple) and len(callback) == 2 else callback


def _kind_of(callback):
    callback = _named(callback)
    return callback if isinstance(callback, type) else type(callback)


class BestEpoch(Callback):
    """Keep the weights of the best epoch, and stop after `patience` epochs without a better one.

    The best has the lowest validation loss, or the highest `score`, a function of the net whose
    value is recorded.
    """

    def __init__(self, patience, score=None):
        self.patience = patience
        self.score = score

    def on_train_begin(self, net, **kwargs):
        """Start anew."""
        self.n_seen_, self.epoch_, self.best_, self.weights_ = 0, 0, -np.inf, None

    def on_epoch_end(self, net, **kwargs):
        """Compare the epoch with the best, and stop as skorch's callbacks do."""
        self._see(net)
        if self.n_seen_ - self.epoch_ >= self.patience:
            raise KeyboardInterrupt

    def on_train_end(self, net, **kwargs):
        """Compare an epoch after which another callback stopped training."""
        if self.n_seen_ < len(net.history) and is_complete(net.history[-1]):
            self._see(net)

    def restore(self, net):
        """Put the weights into the net."""
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_)

    def _see(self, net):
        self.n_seen_ = len(net.history)
        if self.score is None:
            value = -net.history[-1, "valid_loss"]
        else:
            value = float(self.score(net))
            net.history.record("valid_score", value)
        if value > self.best_:
            self.best_, self.epoch_ = value, self.n_seen_
            self.weights_ = deepcopy(net.module_.state_dict())


class EpochWatcher(Callback):
    """Tell a watcher when training and each epoch begin and end; it says whether to stop there."""

    def __init__(self, watcher):
        self.watcher = watcher

    def on_train_begin(self, net, **kwargs):
        """Tell the watcher that training begins; earlier epochs are ignored."""
        self.n_told_ = len(net.history)
        self.watcher.begin(net)

    def on_epoch_begin(self, net, **kwargs):
        """Tell the watcher that an epoch begins."""
        self.watcher.begin_epoch(net)

    def on_epoch_end(self, net, **kwargs):
        """Tell the watcher that an epoch ends, and stop if it wants to."""
        self.n_told_ = len(net.history)
        if self.watcher.end_epoch(net):
            raise KeyboardInterrupt

    def on_train_end(self, net, **kwargs):
        """Tell the watcher of an epoch in which, or after which, training was stopped."""
        if self.n_told_ < len(net.history):
            self.n_told_ = len(net.history)
            self.watcher.end_epoch(net, is_stopped=True)


@contextmanager
def training_watched(net, *watchers, validation=None, patience=None, score=None):
    """Tell watchers of the epochs of a net, which are validated on data that is let go afterwards.

    With `validation`, training stops early, and the net is left with its best weights.
    """
    callbacks = [EpochWatcher(watcher) for watcher in watchers]
    if validation is not None:
        callbacks.insert(0, BestEpoch(patience, score))
        net.train_split = predefined_split(validation)
    named = [(type(callback).__name__, callback.initialize()) for callback in callbacks]
    net.callbacks_.extend(named)
    try:
        yield
        if validation is not None:
            callbacks[0].restore(net)
    finally:
        net.train_split = None
        for callback in named:
            net.callbacks_.remove(callback)


def frozen_copy(net):
    """A net that goes on predicting as this one does now, when this one is trained further."""
    frozen = object.__new__(type(net))
    module = deepcopy(net.module_).eval()
    vars(frozen).update(vars(net), module_=module, callbacks_=[], train_split=None)
    return frozen


def _mean_over_outcomes(values):
    """Several outcomes of a sample, or of a visit, count for one."""
    return values.flatten(start_dim=1).mean(dim=1) if values.ndim > 1 else values


def _as_is(batch):
    return batch
