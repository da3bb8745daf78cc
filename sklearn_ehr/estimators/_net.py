"""Training of networks on visits: the only module that uses skorch."""

import warnings
from contextlib import contextmanager
from copy import deepcopy
from numbers import Real

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch.optim.swa_utils import AveragedModel

from ..nn import LengthBucketSampler
from ..visits import VisitSequences
from ._inputs import as_batch


class VisitDataset(torch.utils.data.Dataset):
    """Sequences with their targets and weights; hands out whole batches.

    Parameters
    ----------
    sequences : VisitSequences
    target : ndarray of shape (n_samples, ...), or (n_visits, ...) with `by_visit`
    weight : ndarray of shape (n_samples,)
    by_visit : bool, default=False
        Whether a target belongs to a visit, not to a sample.
    times : Tensor of shape (n_visits, 2), default=None
        What a network with `time_gaps` reads.
    """

    def __init__(self, sequences, target, weight, by_visit=False, times=None):
        # Neither times nor patients: they would be indexed with every batch, and nobody asks.
        self.sequences = VisitSequences(
            sequences.tokens, sequences.visit_offsets, sequences.sample_offsets
        )
        self.target = torch.as_tensor(target)
        self.weight = torch.as_tensor(weight, dtype=torch.float32)
        self.by_visit = by_visit
        self.times = times

    def __len__(self):
        return len(self.sequences)

    def __getitems__(self, indices):
        part = self.take(np.asarray(indices))
        # Weights go with the input: scoring callbacks take the target for nothing but outcomes.
        return (as_batch(part.sequences, part.times), part.weight), part.target

    @property
    def is_weighted(self):
        """Whether the weight of each sample is not 0, ndarray of bool, shape (n_samples,)."""
        return self.weight.numpy() > 0

    def take(self, samples):
        """The dataset of the samples at these positions."""
        visits = self.sequences.visits_of(samples)
        return VisitDataset(
            self.sequences[samples],
            self.target[visits if self.by_visit else samples],
            self.weight[samples],
            self.by_visit,
            None if self.times is None else self.times[visits],
        )

    def weighted_to_one(self):
        """The dataset with weights under which its loss is a weighted mean of its targets'."""
        n_targets = self._n_labelled() if self.by_visit else torch.ones(len(self))
        weight = self.weight / (self.weight * n_targets).mean()
        return VisitDataset(self.sequences, self.target, weight, self.by_visit, self.times)

    def _n_labelled(self):
        """Labelled visits of each sample; one with some of several labels counts in part."""
        share = _mean_over_outcomes((self.target >= 0).float())
        until = torch.cat([share.new_zeros(1), share.cumsum(0)])
        return until[self.sequences.sample_offsets].diff()


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
    return torch.lerp(average, weights, 9 / (n_averaged + 9))


class VisitNet(NeuralNet):
    """A skorch net that takes a `VisitBatch` with weights, and weighs each sample's loss."""

    def infer(self, x, **fit_params):
        """Return the module's output for a batch; of one dimension where it is one number."""
        visits, _ = x
        return self.module_(visits.to(self.device)).squeeze(-1)

    def get_iterator(self, dataset, training=False):
        """Return the batches: of samples of similar length in training, else in their order."""
        if not training:
            return super().get_iterator(dataset)
        batches = LengthBucketSampler(torch.from_numpy(dataset.sequences.lengths), self.batch_size)
        return torch.utils.data.DataLoader(dataset, batch_sampler=batches, collate_fn=as_is)

    def get_loss(self, y_pred, y_true, X, training=False):
        """Return the mean of the samples' weighted losses."""
        _, weight = X
        loss = _mean_over_outcomes(self.criterion_(y_pred, y_true.to(self.device)))
        return (loss * weight.to(self.device)).mean()

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
                self.module_.eval()


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
        # skorch takes classes too, and a name before either.
        has_name = isinstance(callback, tuple) and len(callback) == 2
        told = callback[1] if has_name else callback
        kind = told if isinstance(told, type) else type(told)
        if not issubclass(kind, Callback):
            raise TypeError(
                f"callbacks holds one of type {kind.__name__}; give skorch callbacks, such as "
                f"skorch.callbacks.EpochTimer(), or (name, callback) pairs."
            )


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
    """Tell a watcher when each epoch begins and ends; it says whether to stop there."""

    def __init__(self, watcher):
        self.watcher = watcher

    def on_train_begin(self, net, **kwargs):
        """Ignore earlier trainings."""
        self.n_told_ = len(net.history)

    def on_epoch_begin(self, net, **kwargs):
        """Tell of it."""
        self.watcher.begin_epoch(net)

    def on_epoch_end(self, net, **kwargs):
        """Tell of it."""
        self.n_told_ = len(net.history)
        if self.watcher.end_epoch(net):
            raise KeyboardInterrupt

    def on_train_end(self, net, **kwargs):
        """Tell of an epoch in which, or after which, training was stopped."""
        if self.n_told_ < len(net.history):
            self.watcher.end_epoch(net)


@contextmanager
def training_watched(net, watcher, validation=None, patience=None, score=None):
    """Tell a watcher of the epochs of a net, which are validated on data that is let go afterwards.

    With `validation`, training stops early, and the net is left with its best weights.
    """
    callbacks = [EpochWatcher(watcher)]
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


def best_epoch(history):
    """Number of the epoch with the highest validation score, or else the lowest loss."""
    if "valid_score" in history:
        return int(history["valid_score"].argmax()) + 1
    # Not finite where training diverges.
    return int(history["valid_loss"].fillna(np.inf).argmin()) + 1


def refuse_untrained(net):
    """Refuse a net that learnt nothing of use.

    skorch ends training quietly on a KeyboardInterrupt, which its callbacks raise to stop after an
    epoch; in the middle of one it comes from the user.
    """
    if not any(map(is_complete, net.history)):
        raise KeyboardInterrupt
    if not all(parameter.isfinite().all() for parameter in net.module_.parameters()):
        raise ValueError(
            f"Training diverged: the network's weights are no longer finite with lr={net.lr}. "
            f"Lower lr, or look for a sample_weight or class_weight that is far too large."
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


def as_is(batch):
    return batch
