"""Base class of the estimators: hyper-parameters, training, and forward passes."""

import warnings
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import get_scorer_names
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, check_random_state

from ..model_selection import split_off_patients
from ..nn import VisitLSTM
from ..visits import (
    N_SPECIAL,
    UNKNOWN,
    TruncatedHistories,
    VisitSequences,
    refuse_overlaps,
    with_earlier,
)
from ._code_vectors import vectors_from_visits, vectors_given
from ._device import choose_device, own_randomness
from ._inputs import as_batch, as_sequences, batches_by_length, read_times
from ._linear_skip import NETWORK_ALONE, choose_shares, combine
from ._net import (
    VisitDataset,
    as_is,
    check_callbacks,
    epochs,
    going_back_if_cut_short,
    is_complete,
    n_epochs_to_refit,
    refuse_untrained,
    stopping_early,
    validating,
    warn_if_interrupted,
)
from ._scoring import score_of, warn_if_constant

_LARGEST_SEED = 2**31 - 1


class BaseVisitLSTM(BaseEstimator):
    """What every task's estimator shares: the hyper-parameters, training, and forward passes.

    A subclass brings `fit`, which encodes its target and calls `_train`, and `predict`, which reads
    `_outputs`.
    """

    _parameter_constraints = {
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "embedding_init": [StrOptions({"svd"}), Mapping, pd.DataFrame, None],
        "freeze_embedding": ["boolean"],
        "hidden_dim": [Interval(Integral, 1, None, closed="left")],
        "num_layers": [Interval(Integral, 1, None, closed="left")],
        "aggregation": [StrOptions({"mean", "sum", "max", "attention"})],
        "mlp_dim": [Interval(Integral, 0, None, closed="left")],
        "linear_skip": ["boolean"],
        "bidirectional": ["boolean"],
        "time_gaps": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "refit": ["boolean"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
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
        embedding_dim=256,
        embedding_init=None,
        freeze_embedding=False,
        hidden_dim=128,
        num_layers=1,
        aggregation="mean",
        mlp_dim=256,
        linear_skip=True,
        bidirectional=False,
        time_gaps=False,
        dropout=0.5,
        lr=1e-3,
        weight_decay=0.3,
        batch_size=128,
        max_epochs=50,
        early_stopping=True,
        refit=True,
        scoring=None,
        validation_fraction=0.1,
        n_iter_no_change=5,
        device="auto",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.embedding_dim = embedding_dim
        self.embedding_init = embedding_init
        self.freeze_embedding = freeze_embedding
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.aggregation = aggregation
        self.mlp_dim = mlp_dim
        self.linear_skip = linear_skip
        self.bidirectional = bidirectional
        self.time_gaps = time_gaps
        self.dropout = dropout
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.refit = refit
        self.scoring = scoring
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

    def _train(
        self, sequences, y, target, weight, strata, *, learnt, given=None, by_visit=False, **task
    ):
        """Build a net and fit it, keeping the best weights of a validation split.

        `target` is `y` as the net takes it, `given` the sample weights to score with if not those
        to train with, `learnt` holds the attributes that the estimator needs to answer, and `task`
        the arguments of `_build_net` that depend on what is predicted.
        """
        given = weight if given is None else given
        random_state = check_random_state(self.random_state)
        split_seed, seed = random_state.randint(_LARGEST_SEED, size=2)
        times = read_times(sequences, by_visit) if self.time_gaps else None
        data = VisitDataset(sequences, target, weight, by_visit, times)
        if not weight.all():
            # A weight of 0 leaves a sample out, of the split and of batches too.
            used = np.flatnonzero(weight)
            sequences, data, y = sequences[used], data.take(used), _safe_indexing(y, used)
            weight, given, strata = weight[used], given[used], strata[used]
        kept, apart = self._split(sequences, strata, int(split_seed))
        vectors = self._code_vectors(sequences, int(seed))
        net = self._build_net(sequences, **task)
        shares = NETWORK_ALONE
        with own_randomness(seed, net.device):
            coverage = self._initialize(net, vectors)
            if apart is None:
                net.partial_fit(data.weighted_to_one())
                history = epochs(net.history)
            else:
                # By length, so that the batches of validation need as little padding as others.
                apart = apart[sequences.lengths[apart].argsort(kind="stable")]
                y_apart = _safe_indexing(y, apart)
                score = score_of(self, sequences[apart], y_apart, given[apart], learnt)
                history, shares = self._train_validated(net, vectors, data, kept, apart, score)
        self._keep(net, history, sequences.vocabulary, random_state, coverage, shares)
        vars(self).update(learnt)
        warn_if_constant(history, self.scoring)

    def _train_validated(self, net, vectors, data, kept, apart, score):
        """Train on the samples kept, then on those set apart too, and add the linear term.

        Returns the history of the first training, and the shares of the network and of this term.
        """
        training, validation = (data.take(part).weighted_to_one() for part in (kept, apart))
        if score is not None:
            # Before any training, as it may not fit the estimator.
            score(net)
        with stopping_early(net, validation, self.n_iter_no_change, score):
            net.partial_fit(training)
        refuse_untrained(net)
        history = epochs(net.history)
        chosen = choose_shares(net, training, validation) if self.linear_skip else None
        if self.refit:
            training = data.weighted_to_one()
            if is_complete(net.history[-1]):
                net.max_epochs = n_epochs_to_refit(history, validation.n_outcomes)
                if self.verbose:
                    print(f"refit: {net.max_epochs} epochs on all {len(training)} samples")
                # With validation for callbacks that ask for its loss, which tells little now.
                with going_back_if_cut_short(net), validating(net, validation):
                    self._initialize(net, vectors)
                    net.partial_fit(training)
        if chosen is None:
            return history, NETWORK_ALONE
        combine(net, training, *chosen)
        if self.verbose:
            print("linear_skip: {:.2f} of the network, {:.2f} of the linear term".format(*chosen))
        return history, chosen

    def _train_further(self, sequences, target, weight, **task):
        """One epoch more, on a net built the first time."""
        times = read_times(sequences, by_visit=False) if self.time_gaps else None
        history, shares = None, NETWORK_ALONE
        if hasattr(self, "net_"):
            net, vocabulary, random_state = self.net_, self.vocabulary_, self._random_state
            coverage, history = self.embedding_coverage_, self.history_
            shares = self.network_share_, self.linear_share_
            self._refuse_other_vocabulary(sequences)
            sequences = self._known(sequences)
        else:
            random_state, vocabulary = check_random_state(self.random_state), sequences.vocabulary
            vectors = self._code_vectors(sequences, random_state.randint(_LARGEST_SEED))
            net = self._build_net(sequences, **task)
        net.max_epochs = 1
        with own_randomness(random_state.randint(_LARGEST_SEED), net.device):
            if not net.initialized_:
                coverage = self._initialize(net, vectors)
            n_before = len(net.history)
            # Weights as they are: between calls, too, they say what counts for how much.
            net.partial_fit(VisitDataset(sequences, target, weight, times=times))
        history = pd.concat([history, epochs(net.history[n_before:])], ignore_index=True)
        self._keep(net, history, vocabulary, random_state, coverage, shares)

    def _code_vectors(self, sequences, seed):
        """Tokens and the vectors that they start with, of those that do not start at random."""
        if self.embedding_init is None:
            if self.freeze_embedding:
                raise ValueError(
                    "freeze_embedding=True keeps the vectors that codes start with, which are "
                    "random with embedding_init=None. Give vectors, or 'svd'."
                )
            return None
        if isinstance(self.embedding_init, str):
            return vectors_from_visits(sequences, int(self.embedding_dim), seed)
        return vectors_given(self.embedding_init, sequences.vocabulary, int(self.embedding_dim))

    def _initialize(self, net, vectors):
        """Initialise a net, and its embedding with these vectors; the share of codes with one."""
        net.initialize()
        if vectors is None:
            return 0.0
        embedding = net.module_.embedding
        tokens, values = vectors
        with torch.no_grad():
            embedding.weight[tokens] = torch.from_numpy(values).to(embedding.weight.device)
        embedding.weight.requires_grad_(not self.freeze_embedding)
        return len(tokens) / max(1, embedding.num_embeddings - N_SPECIAL)

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

    def _build_net(self, sequences, *, net, criterion, output_dim, **criterion_params):
        vocabulary = sequences.vocabulary
        largest = sequences.tokens.max(initial=UNKNOWN)
        callbacks = [] if self.callbacks is None else clone(list(self.callbacks), safe=False)
        check_callbacks(callbacks)
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
            module__mlp_dim=int(self.mlp_dim),
            module__output_dim=output_dim,
            module__time_gaps=bool(self.time_gaps),
            criterion=criterion,
            criterion__reduction="none",
            **{f"criterion__{name}": value for name, value in criterion_params.items()},
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=float(self.weight_decay),
            # Codes too rare to be learnt much about would lose what tells them apart.
            optimizer__param_groups=[("embedding.weight", {"weight_decay": 0.0})],
            optimizer__fused=True,
            lr=float(self.lr),
            batch_size=int(self.batch_size),
            max_epochs=int(self.max_epochs),
            train_split=None,
            iterator_valid__collate_fn=as_is,
            callbacks=callbacks,
            device=choose_device(self.device),
            verbose=int(self.verbose),
        )

    def _keep(self, net, history, vocabulary, random_state, coverage, shares):
        """Keep the trained net, without the log of every batch."""
        refuse_untrained(net)
        warn_if_interrupted(net)
        for epoch in net.history:
            epoch["batches"] = []
        self.net_ = net
        self.vocabulary_ = vocabulary
        self.embedding_coverage_ = coverage
        self.history_ = history
        self.network_share_, self.linear_share_ = map(float, shares)
        self._random_state = random_state

    def _outputs(self, X, entry=VisitLSTM.forward):
        """What an entry of the module answers for each sample or visit, ndarray (n, ...)."""
        check_is_fitted(self)
        X = as_sequences(X)
        self._refuse_other_vocabulary(X)
        return self._forward(X, entry)

    def _forward(self, sequences, entry):
        by_visit = entry is VisitLSTM.forward_by_visit
        module, device = self.net_.module_, self.net_.device
        times = read_times(sequences, by_visit) if module.time_gaps else None
        known = self._known(sequences)
        batches = batches_by_length(sequences.lengths, self.batch_size)

        def answer(part):
            read = None if times is None else times[known.visits_of(part)]
            return entry(module, as_batch(known[part], read).to(device)).cpu()

        with torch.inference_mode():
            outputs = torch.cat(list(map(answer, batches)))
        rows = np.concatenate(batches)
        in_order = np.empty_like(outputs)
        in_order[sequences.visits_of(rows) if by_visit else rows] = outputs
        return in_order

    def _outputs_by_visit(self, sequences):
        """Logits as of the end of each visit, ndarray (n_visits, n_outputs)."""
        whole = with_earlier(sequences)
        refuse_overlaps(whole)
        outputs = self._outputs(sequences, VisitLSTM.forward_by_visit)
        # At the end of these visits max_visits would have kept others.
        histories = TruncatedHistories(sequences, whole)
        for part in batches_by_length(histories.lengths, self.batch_size):
            outputs[histories.visits[part]] = self._forward(histories[part], VisitLSTM.forward)
        return outputs

    def _refuse_other_vocabulary(self, sequences):
        if None not in (sequences.vocabulary, self.vocabulary_) and (
            sequences.vocabulary != self.vocabulary_
        ):
            raise ValueError(
                f"X has another vocabulary (size {sequences.vocabulary.size}) than this "
                f"{type(self).__name__} was fitted with (size {self.vocabulary_.size}). Transform "
                f"X with the transformer that was fitted with it, best in one Pipeline."
            )

    def _known(self, sequences):
        """Sequences whose tokens the fitted module knows; those beyond become unknown."""
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
