"""Tagger that labels each visit of a history."""

import numpy as np
from sklearn.base import _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from ..nn import VisitLSTM
from ..utils import offsets_from_lengths, split_by_sample
from ..visits import count_static, refuse_late_facts
from ._base import BaseVisitLSTM
from ._inputs import as_sequences
from ._net import VisitTaggerNet
from .targets import (
    LabelCoding,
    check_two_classes,
    check_weight,
    flatten_labels,
    read_labels,
)


class LSTMVisitTagger(BaseVisitLSTM):
    """Label each visit of a history from its codes and those of the visits before.

    The network of `LSTMVisitClassifier` with an answer after each visit, which no later visit
    changes. A static visit is read, but neither labelled nor scored.

    Parameters
    ----------
    embedding_dim, embedding_init, freeze_embedding, hidden_dim, num_layers, aggregation, \
mlp_dim, linear_skip
        As in `LSTMVisitClassifier`.
    bidirectional : bool, default=False
        Must be False: an answer would depend on visits to come.
    time_gaps, dropout, lr, weight_decay, batch_size, max_epochs
        As in `LSTMVisitClassifier`.
    early_stopping : bool, default=True
        Set patients apart as a validation split, stop when its loss no longer falls, and restore
        the weights of the best epoch.
    refit : bool, default=True
        After early stopping train anew on all samples, see `LSTMVisitClassifier`.
    scoring : callable, default=None
        Function of the estimator, `X` and `y` whose value says instead of the loss which epoch is
        the best; the higher, the better.
    validation_fraction, n_iter_no_change, device, callbacks, random_state, verbose
        As in `LSTMVisitClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, ascending; with several labels a visit the labels' positions.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    vocabulary_ : Vocabulary or None
        The vocabulary of the sequences it was fitted with.
    embedding_coverage_ : float
        Share of the codes that `embedding_init` gave a vector; 0 without it.
    history_ : DataFrame
        Losses (means over labelled visits) and duration (seconds) of each epoch, before `refit`.
    network_share_, linear_share_ : float
        As in `LSTMVisitClassifier`.

    See Also
    --------
    make_visit_labels, make_next_visit_labels : Make `y`.
    LSTMVisitClassifier.predict_proba_by_visit : The risk of one outcome, visit by visit.

    Notes
    -----
    Of scikit-learn's tools those work that call `score` (``cross_val_score``, ``GridSearchCV``) or
    ``cross_val_predict(method="predict")``, with `PatientKFold`. Metrics take flat labels::

        def roc_auc(model, X, y):
            truth, proba = np.concatenate([*y]), np.concatenate([*model.predict_proba(X)])
            known = ~pd.isna(truth)
            return roc_auc_score(truth[known].astype(int), proba[known, 1])

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitTagger, VisitSequenceTransformer, make_next_visit_labels
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, _ = make_visits(100, random_state=0)
    >>> y, codes = make_next_visit_labels(X, groups={"C001": "first", "C002": "second"})
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitTagger(max_epochs=2, random_state=0)
    ... )
    >>> proba = model.fit(X[:80], y[:80]).predict_proba(X[80:])
    >>> proba.shape, proba[0].shape == y[80].shape
    ((20,), True)
    """

    _parameter_constraints = {**BaseVisitLSTM._parameter_constraints, "scoring": [callable, None]}

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the network.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
            Padded codes are integers, 0 is padding, and each sample is a patient of its own.
        y : list or object array of n_samples arrays
            Of each sample an array of shape (n_visits,), a label of any type a visit, or of shape
            (n_visits, n_labels), an indicator; in the order of the visits, without a static one.
            None or NaN is a missing label. Labels of visits that `max_visits` left out may be there
            and are left out too.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples' visits, in training and in early stopping.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the network is to be bidirectional, labels do not fit the visits, are all missing, or
            of one class, weights are negative or all 0, or part of a visit became known after the
            next one (`known_time`).
        """
        X = as_sequences(X)
        if self.bidirectional:
            raise ValueError(
                "LSTMVisitTagger needs bidirectional=False: reading visits from the last one on, "
                "it would label a visit by what is still to come."
            )
        refuse_late_facts(X)
        labels, is_labelled = read_labels(flatten_labels(X, y, type(self).__name__))
        coding = LabelCoding.of(labels)
        target = _place_target(X, coding, labels, is_labelled)
        n_labelled = _count_labelled(X, is_labelled)
        weight = check_weight(sample_weight, X) * (n_labelled > 0)
        if not weight.any():
            raise ValueError("sample_weight leaves every labelled visit a weight of zero.")
        if not coding.is_multilabel:
            used = np.repeat(weight > 0, n_labelled)
            check_two_classes(np.unique(labels[used]), type(self).__name__)
        no_strata = np.zeros(len(X), dtype=np.int64)
        task = coding.task() | {"net": VisitTaggerNet}
        learnt = {"_coding": coding, "classes_": coding.classes}
        self._train(X, y, target, weight, no_strata, learnt=learnt, by_visit=True, **task)
        return self

    def predict_proba(self, X):
        """Return the probability of each class, or of each label, for each visit.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,), object
            Of each sample an array of shape (n_visits, n_classes) or (n_visits, n_labels), float64,
            without a static visit.
        """
        check_is_fitted(self)
        X = as_sequences(X)
        proba = self._proba(X)
        return split_by_sample(proba, _dated_offsets(X))

    def predict(self, X):
        """Return the most probable class of each visit, or 1 for each label more probable than not.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,), object
            Of each sample an array of shape (n_visits,) or (n_visits, n_labels), without a static
            visit.
        """
        check_is_fitted(self)
        X = as_sequences(X)
        proba = self._proba(X)
        return split_by_sample(self._coding.to_labels(proba), _dated_offsets(X))

    def score(self, X, y, sample_weight=None):
        """Return the share of labelled visits whose label, or whole row of labels, is right.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        y : list or object array of n_samples arrays
            As in `fit`. Of several labels a visit, all must be there for it to count.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples' visits.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        X = as_sequences(X)
        predicted = self._coding.to_labels(self._proba(X))
        labels, is_labelled = read_labels(flatten_labels(X, y, type(self).__name__))
        if labels.ndim == 2:
            is_labelled = ~np.isnan(labels).any(axis=1)
            if not is_labelled.any():
                raise ValueError("y has no visit with all of its labels, so there is no score.")
            labels = labels[is_labelled].astype(np.int64)
        weight = np.repeat(check_weight(sample_weight, X), np.diff(_dated_offsets(X)))
        return accuracy_score(labels, predicted[is_labelled], sample_weight=weight[is_labelled])

    def _proba(self, X):
        """Probabilities for the dated visits, one after the other."""
        refuse_late_facts(X)
        outputs = self._outputs(X, VisitLSTM.forward_by_visit)[~X.is_static]
        return self._coding.to_proba(self._coding.to_logits(outputs))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _place_target(X, coding, labels, is_labelled):
    """A target for every visit: missing ones are negative or NaN."""
    encoded = coding.as_target(coding.encode(labels))
    missing = np.nan if encoded.dtype.kind == "f" else -1
    target = np.full((len(X.is_static), *encoded.shape[1:]), missing, dtype=encoded.dtype)
    dated = np.flatnonzero(~X.is_static)
    target[dated if coding.is_multilabel else dated[is_labelled]] = encoded
    return target


def _dated_offsets(X):
    """Where each sample starts among the visits that are not static."""
    return offsets_from_lengths(X.lengths - count_static(X))


def _count_labelled(X, is_labelled):
    return np.diff(offsets_from_lengths(is_labelled)[_dated_offsets(X)])
