"""How the network is trained and asked: the one place that touches skorch."""

import warnings
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, check_random_state
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping
from skorch.helper import predefined_split

from ..model_selection import split_off_patients
from ..nn import LengthBucketSampler, VisitLSTM
from ..sequences import VisitSequences
from ..vocabulary import UNKNOWN
from ._device import choose_device, own_randomness
from ._inputs import as_batch, as_sequences

_LARGEST_SEED = 2**31 - 1


class VisitDataset(torch.utils.data.Dataset):
    """Sequences with their targets and weights; hands out whole batches.

    Parameters
    ----------
    sequences : VisitSequences
    target : ndarray of shape (n_samples,) or (n_samples, n_outcomes)
    weight : ndarray of shape (n_samples,)
    """

    def __init__(self, sequences, target, weight):
        # Neither times nor patients: they would be indexed with every batch, and nobody asks.
        self.sequences = VisitSequences(
            sequences.tokens, sequences.visit_offsets, sequences.sample_offsets
        )
        self.target = torch.from_numpy(target)
        self.weight = torch.from_numpy(weight.astype(np.float32))

    def __len__(self):
        return len(self.sequences)

    def __getitems__(self, indices):
        indices = np.asarray(indices)
        # Weights go with the input: scoring callbacks take the target for nothing but outcomes.
        return (as_batch(self.sequences[indices]), self.weight[indices]), self.target[indices]


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
        return torch.utils.data.DataLoader(dataset, batch_sampler=batches, collate_fn=_as_is)

    def get_loss(self, y_pred, y_true, X, training=False):
        """Return the mean of the samples' weighted losses."""
        _, weight = X
        loss = self.criterion_(y_pred, y_true.to(self.device))
        # Several outcomes of a sample count for one.
        loss = loss.flatten(start_dim=1).mean(dim=1) if loss.ndim > 1 else loss
        return (loss * weight.to(self.device)).mean()

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train, and be ready to predict however that ends."""
        if not self.initialized_:
            self.initialize()
        try:
            return super().partial_fit(X, y, classes, **fit_params)
        finally:
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


class BaseVisitLSTM(BaseEstimator):
    """What every task's estimator shares: the hyper-parameters, training, and forward passes.

    A subclass brings `fit`, which encodes its target and calls `_train`, and `predict`, which reads
    `_outputs`.
    """

    _parameter_constraints = {
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "hidden_dim": [Interval(Integral, 1, None, closed="left")],
        "num_layers": [Interval(Integral, 1, None, closed="left")],
        "aggregation": [StrOptions({"mean", "sum", "max", "attention"})],
        "bidirectional": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "callbacks": [list, tuple, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        embedding_dim=128,
        hidden_dim=128,
        num_layers=1,
        aggregation="mean",
        bidirectional=False,
        dropout=0.3,
        lr=1e-3,
        weight_decay=0.0,
        batch_size=128,
        max_epochs=50,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=5,
        device="auto",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.aggregation = aggregation
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def transform(self, X):
        """Return the final hidden state of each history, as features for another model.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples, hidden_dim * directions), float32
        """
        return self._outputs(X, VisitLSTM.encode)

    def _train(self, sequences, target, weight, strata, **task):
        """Build a net and fit it, keeping the best weights of a validation split.

        `task` holds the arguments of `_build_net` that depend on what is predicted.
        """
        random_state = check_random_state(self.random_state)
        split_seed, seed = random_state.randint(_LARGEST_SEED, size=2)
        if not weight.all():
            # A weight of 0 leaves a sample out, of the split and of batches too.
            used = np.flatnonzero(weight)
            sequences, target, weight = sequences[used], target[used], weight[used]
            strata = strata[used]
        kept, apart = self._split(sequences, strata, int(split_seed))
        net = self._build_net(sequences, **task)
        training = _weighted_to_one(sequences[kept], target[kept], weight[kept])
        with own_randomness(seed, net.device):
            net.initialize()
            if apart is None:
                net.partial_fit(training)
            else:
                # By length, so that the batches of validation need as little padding as others.
                apart = apart[sequences.lengths[apart].argsort(kind="stable")]
                validation = _weighted_to_one(sequences[apart], target[apart], weight[apart])
                with _stopping_early(net, validation, self.n_iter_no_change):
                    net.partial_fit(training)
        self._keep(net, sequences.vocabulary, random_state)

    def _train_further(self, sequences, target, weight, **task):
        """One epoch more, on a net built the first time."""
        if hasattr(self, "net_"):
            net, vocabulary, random_state = self.net_, self.vocabulary_, self._random_state
            sequences = self._known(sequences)
        else:
            net, vocabulary = self._build_net(sequences, **task), sequences.vocabulary
            random_state = check_random_state(self.random_state)
        net.max_epochs = 1
        with own_randomness(random_state.randint(_LARGEST_SEED), net.device):
            # Weights as they are: between calls, too, they say what counts for how much.
            net.partial_fit(VisitDataset(sequences, target, weight))
        self._keep(net, vocabulary, random_state)

    def _split(self, sequences, strata, seed):
        """Positions to train on, and those to validate on or None."""
        everything = np.arange(len(sequences))
        if not self.early_stopping:
            return everything, None
        groups = everything if sequences.groups is None else sequences.groups
        try:
            kept, apart = split_off_patients(strata, groups, self.validation_fraction, seed)
            if np.isin(strata, strata[kept]).all():
                return kept, apart
        except ValueError:
            pass
        warnings.warn(
            f"early_stopping finds no validation split of validation_fraction="
            f"{self.validation_fraction} that keeps patients whole and every class in training: "
            f"the model trains on all {len(sequences)} samples for max_epochs={self.max_epochs} "
            f"epochs. Set early_stopping=False to silence this.",
            UserWarning,
            stacklevel=5,
        )
        return everything, None

    def _build_net(self, sequences, *, net, criterion, output_dim):
        vocabulary = sequences.vocabulary
        largest = sequences.tokens.max(initial=UNKNOWN)
        callbacks = [] if self.callbacks is None else clone(list(self.callbacks), safe=False)
        # torch takes no numpy scalars, which a search may draw: hence int, float and bool.
        return net(
            VisitLSTM,
            module__vocab_size=int(largest) + 1 if vocabulary is None else vocabulary.size,
            module__embedding_dim=int(self.embedding_dim),
            module__hidden_dim=int(self.hidden_dim),
            module__num_layers=int(self.num_layers),
            module__dropout=float(self.dropout),
            module__bidirectional=bool(self.bidirectional),
            module__aggregation=str(self.aggregation),
            module__output_dim=output_dim,
            criterion=criterion,
            criterion__reduction="none",
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=float(self.weight_decay),
            optimizer__fused=True,
            lr=float(self.lr),
            batch_size=int(self.batch_size),
            max_epochs=int(self.max_epochs),
            train_split=None,
            iterator_valid__collate_fn=_as_is,
            callbacks=callbacks,
            device=choose_device(self.device),
            verbose=int(self.verbose),
        )

    def _keep(self, net, vocabulary, random_state):
        """Keep the trained net, without the log of every batch."""
        _check_training(net)
        for epoch in net.history:
            epoch["batches"] = []
        self.net_ = net
        self.vocabulary_ = vocabulary
        self.history_ = _epochs(net.history)
        self._random_state = random_state

    def _outputs(self, X, entry=VisitLSTM.forward):
        """What an entry of the module answers for each sample, ndarray (n_samples, ...)."""
        check_is_fitted(self)
        sequences = self._known(as_sequences(X))
        module, device = self.net_.module_, self.net_.device
        # Samples of similar length need little padding; `rank` brings them back in order.
        by_length = sequences.lengths.argsort(kind="stable")
        rank = by_length.argsort()
        with torch.inference_mode():
            batches = (
                as_batch(sequences[by_length[start : start + self.batch_size]])
                for start in range(0, len(sequences), self.batch_size)
            )
            outputs = torch.cat([entry(module, batch.to(device)).cpu() for batch in batches])
            return outputs.numpy()[rank]

    def _known(self, sequences):
        """Sequences whose tokens the fitted module knows; those beyond become unknown."""
        if None not in (sequences.vocabulary, self.vocabulary_) and (
            sequences.vocabulary != self.vocabulary_
        ):
            raise ValueError(
                f"X has another vocabulary (size {sequences.vocabulary.size}) than this "
                f"{type(self).__name__} was fitted with (size {self.vocabulary_.size}). Transform "
                f"X with the transformer that was fitted with it, best in one Pipeline."
            )
        size = self.net_.module_.embedding.num_embeddings
        return VisitSequences(
            np.where(sequences.tokens < size, sequences.tokens, UNKNOWN),
            sequences.visit_offsets,
            sequences.sample_offsets,
            vocabulary=self.vocabulary_,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags


@contextmanager
def _stopping_early(net, validation, patience):
    """Validate a net on data that it lets go of afterwards, and restore its best weights."""
    callback = EarlyStopping(patience=patience, threshold=0, load_best=True)
    stopping = ("early_stopping", callback.initialize())
    net.train_split = predefined_split(validation)
    net.callbacks_.append(stopping)
    try:
        yield
    finally:
        net.train_split = None
        net.callbacks_.remove(stopping)


def _weighted_to_one(sequences, target, weight):
    """A dataset of weights of mean 1, whose loss is a weighted mean."""
    return VisitDataset(sequences, target, weight / weight.mean())


def _check_training(net):
    """Refuse a net that learnt nothing of use, and tell of one that was interrupted.

    skorch ends training quietly on a KeyboardInterrupt, which its callbacks raise to stop after an
    epoch; in the middle of one it comes from the user.
    """
    if not any(map(_is_complete, net.history)):
        raise KeyboardInterrupt
    if not all(parameter.isfinite().all() for parameter in net.module_.parameters()):
        raise ValueError(
            f"Training diverged: the network's weights are no longer finite with lr={net.lr}. "
            f"Lower lr, or look for a sample_weight or class_weight that is far too large."
        )
    if not _is_complete(net.history[-1]):
        warnings.warn("Training interrupted by user.", UserWarning, stacklevel=6)


def _is_complete(epoch):
    return "dur" in epoch


def _epochs(history):
    """The figures of each complete epoch, one row each."""
    figures = [
        {
            name: value
            for name, value in epoch.items()
            if isinstance(value, Real) and not name.endswith(("_best", "_batch_count"))
        }
        for epoch in history
        if _is_complete(epoch)
    ]
    return pd.DataFrame(figures)


def _as_is(batch):
    return batch
