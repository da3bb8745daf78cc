"""Base class of the estimators: hyper-parameters, training, and forward passes."""

from collections.abc import Mapping
from copy import deepcopy
from numbers import Integral, Real
from os import PathLike, fspath

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import get_scorer_names
from sklearn.utils.validation import check_is_fitted, check_random_state

from ..nn import VisitLSTM
from ..utils import (
    CallbackSupportMixin,
    EstimatorReprMixin,
    Interval,
    SavedStateMixin,
    StrOptions,
    library_versions,
    warn_user,
)
from ._bias import fit_bias
from ._building import build_net, callbacks_of, initialize, tunable
from ._checkpoints import open_checkpoints
from ._dataset import VisitDataset
from ._device import plain_torch
from ._forward import forward_in_batches
from ._further import (
    FIXED,
    fixed_parameters,
    refuse_changes,
    refuse_unscaled,
    warn_of_unknown,
)
from ._history import (
    best_epoch,
    epochs,
    is_complete,
    refuse_untrained,
    warn_if_interrupted,
)
from ._inputs import (
    as_sequences,
    known_tokens,
    read_times,
    refuse_other_input,
    size_of,
)
from ._net import refuse_monitors, training_watched
from ._net_state import net_of_state, state_of_net
from ._progress import Progress, Stage
from ._samples import Samples, warn_if_few, warn_if_shared, warn_without_split
from ._scoring import score_of, warn_if_constant
from ._summary import needs_of, texts_of

_LARGEST_SEED = 2**31 - 1
_LIBRARIES = ("sklearn_ehr", "numpy", "pandas", "scikit-learn", "skorch", "torch")


class BaseVisitLSTM(
    SavedStateMixin,
    CallbackSupportMixin,
    EstimatorReprMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """What every task's estimator shares: the hyper-parameters, training, and forward passes.

    A subclass brings `fit`, which encodes its target and calls `_train`, and `predict`, which reads
    `_outputs`.
    """

    _parameter_constraints = {
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "embedding_init": [Mapping, pd.DataFrame, None],
        "hidden_dim": [Interval(Integral, 1, None, closed="left")],
        "num_layers": [Interval(Integral, 1, None, closed="left")],
        "aggregation": [StrOptions({"mean", "sum", "max", "attention"})],
        "mlp_dim": [Interval(Integral, 0, None, closed="left")],
        "bidirectional": ["boolean"],
        "time_gaps": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "average": ["boolean"],
        "refit": ["boolean"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "callbacks": [list, tuple, None],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def transform(self, X):
        """Return the final hidden state of each history, as features for another model.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples, hidden_dim * directions), float32
            A DataFrame after ``set_output(transform="pandas")``.
        """
        return self._outputs(X, VisitLSTM.encode)

    @property
    def _n_features_out(self):
        return self.net_.module_.head.in_features - self.net_.module_.time_gaps

    @property
    def needs(self):
        """What sequences to predict from must bring, which every prediction checks.

        Returns
        -------
        dict
            "features": names of the features of the sequences; "time_gaps": whether visits must
            have times; "vocabulary_size": number of codes, None without a vocabulary; "versions":
            versions of the libraries, which loading a saved estimator checks.
        """
        check_is_fitted(self)
        return needs_of(self, self._versions)

    def _samples(self, X, y, target, weight, strata, given=None, by_visit=False):
        """Samples to train on or to validate with."""
        times = read_times(X, by_visit) if self.time_gaps else None
        data = VisitDataset(X, target, weight, by_visit, times)
        return Samples(X, y, data, weight if given is None else given, strata)

    def _read_validation(self, X, X_val, y_val, encode):
        """Samples of the validation set that `encode` makes, or None where none is given."""
        if X_val is None and y_val is None:
            return None
        if X_val is None or y_val is None:
            raise ValueError(
                f"X_val and y_val make a validation set together, but "
                f"{'X_val' if X_val is None else 'y_val'} is None."
            )
        if not self.early_stopping:
            raise ValueError("X_val is for early stopping; set early_stopping=True.")
        X_val = as_sequences(X_val, "X_val")
        warn_if_shared(X_val.groups, X.groups)
        name = type(self).__name__
        refuse_other_input("X_val", X_val, X.vocabulary, X.feature_names, name)
        try:
            return encode(known_tokens(X_val, size_of(X)["n_ids"])).weighted()
        except ValueError as error:
            raise ValueError(f"X_val and y_val cannot be used for validation: {error}") from error

    def _train(self, samples, validation, learnt, **task):
        """Train a net with early stopping, if any, and then on all samples, if it is refitted.

        `validation` is None, or the samples that were given for it. `learnt` holds the attributes
        that the estimator needs to predict, and `task` the arguments of `build_net`.
        """
        random_state = check_random_state(self.random_state)
        seeds = random_state.randint(_LARGEST_SEED, size=2).tolist()
        task |= size_of(samples.sequences)
        learnt |= self._described(samples.sequences)
        samples = samples.weighted()
        with open_checkpoints(self, samples, validation, seeds, task) as checkpoints:
            self._train_in_stages(
                samples, validation, learnt, checkpoints, random_state=random_state, **task
            )

    def _train_in_stages(self, samples, validation, learnt, checkpoints, *, random_state, **task):
        split_seed, seed = checkpoints.seeds
        training, is_split = samples, False
        if self.early_stopping and validation is None:
            training, validation = samples.split(self.validation_fraction, split_seed)
            is_split = validation is not None
            if not is_split:
                warn_without_split(self, len(samples))
        warn_if_few(samples, type(self).__name__)
        will_refit = self.refit and is_split
        refuse_monitors(self.callbacks, validation is not None, will_refit)
        progress = Progress(self, samples, learnt, will_refit)
        patience = None if validation is None else self.n_iter_no_change
        with progress.stage("fit", training, self.max_epochs, patience) as stage:
            net, coverage = self._train_once(
                training, validation, learnt, seed, stage, checkpoints, **task
            )
        refuse_untrained(net)
        history = epochs(net.history, "fit")
        warn_if_constant(history, self.scoring)
        if will_refit and is_complete(net.history[-1]):
            net, history = self._train_again(
                net, history, samples, learnt, seed, progress, checkpoints, **task
            )
        if history["stage"].iloc[-1] == "refit":
            training = samples
        warn_if_interrupted(net, self.checkpoint, stacklevel=6)
        self._keep(net, history, random_state, learnt | {"embedding_coverage_": coverage})
        with plain_torch(net.device):
            fit_bias(net, training.data.weighted_to_one())
        progress.finish(history)
        if checkpoints.is_repeated and self.random_state is None:
            warn_user(
                "checkpoint holds a finished fit of the same data and parameters, which was used "
                "and not repeated. Set random_state, or another directory, for a new one."
            )

    def _train_once(self, training, validation, learnt, seed, stage, checkpoints, **task):
        """A trained net, and the share of codes whose vectors were given."""
        net = build_net(self, **task)
        net.max_epochs = stage.n_epochs
        kept, watchers = checkpoints.stage(stage.name), [stage]
        data = training.data.weighted_to_one()
        with plain_torch(net.device), net.seeded(seed):
            coverage = initialize(net, self.embedding_init, training.histories.vocabulary)
            apart = score = None
            if validation is not None:
                apart = validation.data.weighted_to_one()
                score = score_of(self, validation, learnt)
            if score is not None:
                # Before any training, as it may not fit the estimator.
                score(net)
            if kept is not None:
                kept.prepare(net)
                watchers.append(kept)
            patience = self.n_iter_no_change
            with training_watched(net, *watchers, validation=apart, patience=patience, score=score):
                net.partial_fit(data)
        net.max_epochs = stage.n_epochs
        return net, coverage

    def _train_again(self, first, history, samples, learnt, seed, progress, checkpoints, **task):
        """A net trained on all samples for as many epochs as were best, and the history of both.

        If the user interrupts this training, it is the first net and its history.
        """
        n_epochs = best_epoch(history)
        with progress.stage("refit", samples, n_epochs) as stage:
            net, _ = self._train_once(samples, None, learnt, seed, stage, checkpoints, **task)
        if not is_complete(net.history[-1]):
            warn_if_interrupted(net, self.checkpoint, stacklevel=7)
            return first, history
        refuse_untrained(net)
        return net, pd.concat([history, epochs(net.history, "refit")], ignore_index=True)

    def _train_further(self, sequences, target, weight, **task):
        """One epoch more, on a net built the first time."""
        refuse_unscaled(weight)
        history, learnt = None, {}
        if hasattr(self, "net_"):
            refuse_changes(self, self._started_with)
            self._refuse_other_input(sequences)
            # Where training fails, the estimator stays as it is.
            with plain_torch():
                net, random_state = deepcopy((self.net_, self._random_state))
            history = self.history_
            n_ids = net.module_.embedding.num_embeddings
            if not self._has_warned and warn_of_unknown(sequences, n_ids):
                learnt = {"_has_warned": True}
            sequences = self._known(sequences)
            net.retune(**tunable(self))
            if net.callbacks is None:
                net.callbacks = callbacks_of(self)
                net.initialize_callbacks()
        else:
            random_state = check_random_state(self.random_state)
            net = build_net(self, **size_of(sequences), **task)
        times = read_times(sequences, by_visit=False) if self.time_gaps else None
        net.max_epochs = 1
        seed = random_state.randint(_LARGEST_SEED)
        with plain_torch(net.device), net.seeded(seed):
            if not net.initialized_:
                coverage = initialize(net, self.embedding_init, sequences.vocabulary)
                learnt = self._described(sequences) | {"embedding_coverage_": coverage}
            n_before = len(net.history)
            # Weights as they are: between calls, too, they say what counts for how much.
            data = VisitDataset(sequences, target, weight, times=times)
            with training_watched(net, Stage("partial_fit", 1, self.verbose)):
                net.partial_fit(data)
        refuse_untrained(net)
        new = epochs(net.history[n_before:], "partial_fit")
        history = pd.concat([history, new], ignore_index=True)
        warn_if_interrupted(net, stacklevel=5)
        self._keep(net, history, random_state, learnt)

    def _keep(self, net, history, random_state, learnt):
        """Keep the trained net, without the log of every batch."""
        for epoch in net.history:
            epoch["batches"] = []
        self.net_ = net
        self.history_ = history
        self._random_state = random_state
        vars(self).update(learnt)

    def _described(self, sequences):
        """Attributes of a fitted estimator that say what its input is, and how it was built."""
        return {
            "vocabulary_": sequences.vocabulary,
            "feature_names_": sequences.feature_names,
            "_started_with": fixed_parameters(self),
            "_has_warned": False,
            "_versions": library_versions(*_LIBRARIES),
        }

    def _fitted_texts(self):
        return texts_of(self)

    def _to_save(self):
        attributes = super()._to_save()
        if self.checkpoint is not None:
            attributes["checkpoint"] = fspath(self.checkpoint)
        if isinstance(self.embedding_init, Mapping):
            vectors = self.embedding_init.items()
            attributes["embedding_init"] = {code: np.asarray(vector) for code, vector in vectors}
        if hasattr(self, "net_"):
            attributes["net_"] = state_of_net(self.net_)
            # Only what was changed since: the rest must be the same objects when it is read again.
            attributes["_started_with"] = {
                name: value
                for name, value in self._started_with.items()
                if value is not getattr(self, name)
            }
        return attributes

    def _from_saved(self, attributes):
        if "net_" in attributes:
            attributes["net_"] = net_of_state(attributes["net_"])
            unchanged = {name: attributes[name] for name in FIXED if name in attributes}
            attributes["_started_with"] = unchanged | attributes["_started_with"]
        return attributes

    def _outputs(self, X, entry=VisitLSTM.forward):
        """What an entry of the module answers for each sample or visit, ndarray (n, ...)."""
        check_is_fitted(self)
        X = as_sequences(X)
        self._refuse_other_input(X)
        return forward_in_batches(self.net_, X, self.batch_size, entry)

    def _refuse_other_input(self, sequences):
        name = type(self).__name__
        refuse_other_input("X", sequences, self.vocabulary_, self.feature_names_, name)

    def _known(self, sequences):
        """Sequences whose tokens the fitted module knows; those beyond become unknown."""
        return known_tokens(sequences, self.net_.module_.embedding.num_embeddings)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags
