"""Training of networks on visits: the only module that uses skorch."""

import warnings
from contextlib import contextmanager
from numbers import Real

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.helper import predefined_split
from torch.optim.swa_utils import AveragedModel

from ..nn import LengthBucketSampler

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


class VisitNet(NeuralNet):
    """A skorch net that takes a `VisitBatch` with weights, and weighs each sample's loss.

    Attributes
    ----------
    generator_ : torch.Generator or None
        What its initial weights and the order of samples are drawn from, and on other devices than
        the CPU the seed of what drops units. None is torch's global generator.
    """

    generator_ = None

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
            lengths = torch.from_numpy(dataset.sequences.lengths)
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
            raise ValueError(_diverged(self, f"the loss is {loss}"))

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """Stop a training whose losses are finite but absurd."""
        super().on_epoch_end(net, dataset_train=dataset_train, **kwargs)
        batches = [batch for batch in self.history[-1]["batches"] if "train_loss" in batch]
        sizes = [batch["train_batch_size"] for batch in batches]
        loss = np.average([batch["train_loss"] for batch in batches], weights=sizes)
        if loss > _ABSURD_LOSS * dataset_train.mean_weight:
            raise ValueError(_diverged(self, f"the mean loss is {loss:.3g}"))

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

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train, and be ready to predict however that ends."""
        try:
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


def check_callbacks(callbacks, refit):
    """Refuse what skorch could not call, or not in a refit, which has no validation."""
    for callback in callbacks:
        # skorch takes classes too, and a name before either.
        has_name = isinstance(callback, tuple) and len(callback) == 2
        told = callback[1] if has_name else callback
        kind = told if isinstance(told, type) else type(told)
        if not issubclass(kind, Callback):
            raise TypeError(
                f"callbacks holds one of type {kind.__name__}; give skorch callbacks, such as "
                f"skorch.callbacks.EpochTimer(), or (name, callback) pairs."
            )
        monitor = getattr(told, "monitor", None)
        if refit and isinstance(monitor, str) and monitor.startswith("valid"):
            raise ValueError(
                f"callbacks holds a {kind.__name__} with monitor={monitor!r}, but refit=True "
                f"trains a second time without validation. Set refit=False, or monitor "
                f"'train_loss'."
            )


class ValidationScore(Callback):
    """Record in each epoch what a function of the net returns, such as a score of other samples."""

    def __init__(self, score):
        self.score = score

    def on_epoch_end(self, net, **kwargs):
        """Record it."""
        net.history.record("valid_score", float(self.score(net)))


@contextmanager
def stopping_early(net, validation, patience, score=None):
    """Validate a net on data that it lets go of afterwards, and restore its best weights.

    The best are those of the lowest loss, or of the highest `score`, a function of the net.
    """
    callbacks = [EarlyStopping(patience=patience, threshold=0, load_best=True)]
    if score is not None:
        callbacks[0].set_params(monitor="valid_score", lower_is_better=False)
        callbacks.insert(0, ValidationScore(score))
    named = [(type(callback).__name__, callback.initialize()) for callback in callbacks]
    net.callbacks_.extend(named)
    net.train_split = predefined_split(validation)
    try:
        yield
    finally:
        net.train_split = None
        for callback in named:
            net.callbacks_.remove(callback)


def best_epoch(history):
    """Number of the epoch with the highest validation score, or else the lowest loss."""
    if "valid_score" in history:
        return int(history["valid_score"].argmax()) + 1
    return int(history["valid_loss"].argmin()) + 1


def refuse_untrained(net):
    """Refuse a net that learnt nothing of use.

    skorch ends training quietly on a KeyboardInterrupt, which its callbacks raise to stop after an
    epoch; in the middle of one it comes from the user.
    """
    if not any(map(is_complete, net.history)):
        raise KeyboardInterrupt
    if not all(parameter.isfinite().all() for parameter in net.module_.parameters()):
        raise ValueError(_diverged(net, "the network's weights are no longer finite"))


def _diverged(net, how):
    return (
        f"Training diverged in epoch {len(net.history)}: {how}, with lr={net.lr}. Lower lr, or "
        f"look for a sample_weight or class_weight that is far too large."
    )


def warn_if_interrupted(net, stacklevel=6):
    """Tell of a net that the user kept from being trained further."""
    if not is_complete(net.history[-1]):
        warnings.warn("Training interrupted by user.", UserWarning, stacklevel=stacklevel)


def is_complete(epoch):
    """Whether an epoch of the history was not interrupted."""
    return "dur" in epoch


def epochs(history, stage):
    """The figures of each complete epoch, one row each, after the stage that they belong to."""
    figures = [
        {"stage": stage}
        | {
            name: value
            for name, value in epoch.items()
            if isinstance(value, Real) and not name.endswith(("_best", "_batch_count"))
        }
        for epoch in history
        if is_complete(epoch)
    ]
    return pd.DataFrame(figures)


def _mean_over_outcomes(values):
    """Several outcomes of a sample, or of a visit, count for one."""
    return values.flatten(start_dim=1).mean(dim=1) if values.ndim > 1 else values


def _as_is(batch):
    return batch
