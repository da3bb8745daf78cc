"""Tagger that labels each visit of a history."""

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from ..nn import VisitLSTM
from ..utils import fit_context, offsets_from_lengths, split_by_sample
from ..visits import count_static, refuse_late_facts
from ._base import BaseVisitLSTM
from ._inputs import as_sequences, refuse_features
from ._net import VisitTaggerNet
from .targets import (
    LabelCoding,
    check_two_classes,
    check_weight,
    flatten_labels,
    read_labels,
    refuse_other_labels,
)


class LSTMVisitTagger(BaseVisitLSTM):
    """Label each visit of a patient history.

    The network is that of `LSTMVisitClassifier`, with an output after each visit. The label of a
    visit is predicted from its codes and those of the visits before it. A static visit is read, but
    it has no label.

    Parameters
    ----------
    embedding_dim, embedding_init, hidden_dim, num_layers, aggregation, mlp_dim, time_gaps, \
dropout, lr, weight_decay, batch_size, max_epochs
        As in `LSTMVisitClassifier`.
    early_stopping, average, refit
        As in `LSTMVisitClassifier`. The validation split is not stratified.
    scoring : callable, default=None
        Metric used to select the best epoch, with the signature ``scoring(estimator, X, y)``. By
        default, the validation loss.
    validation_fraction, n_iter_no_change, device, callbacks, checkpoint, random_state, verbose
        As in `LSTMVisitClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes in ascending order; for several labels per visit, the positions of the labels.
    net_, vocabulary_, embedding_coverage_, history_
        As in `LSTMVisitClassifier`.
    feature_names_ : None
        Features are refused.

    See Also
    --------
    make_visit_labels, make_next_visit_labels : Make `y`.
    LSTMVisitClassifier.predict_proba_by_visit : The risk of one outcome, visit by visit.

    Notes
    -----
    Works with scikit-learn's tools that call `score` (``cross_val_score``, ``GridSearchCV``), and
    with ``cross_val_predict(method="predict")``. Use `PatientKFold`. Metrics take flat labels::

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

    # An output that depends on later visits would not be known at its own.
    bidirectional = False
    _parameter_constraints = {
        name: constraint
        for name, constraint in BaseVisitLSTM._parameter_constraints.items()
        if name != "bidirectional"
    } | {"scoring": [callable, None]}

    def __init__(
        self,
        *,
        embedding_dim=256,
        embedding_init=None,
        hidden_dim=128,
        num_layers=1,
        aggregation="sum",
        mlp_dim=0,
        time_gaps=False,
        dropout=0.5,
        lr=1e-3,
        weight_decay=0.6,
        batch_size=128,
        max_epochs=50,
        early_stopping=True,
        average=False,
        refit=True,
        scoring=None,
        validation_fraction=0.1,
        n_iter_no_change=5,
        device="auto",
        callbacks=None,
        checkpoint=None,
        random_state=None,
        verbose=0,
    ):
        self.embedding_dim = embedding_dim
        self.embedding_init = embedding_init
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.aggregation = aggregation
        self.mlp_dim = mlp_dim
        self.time_gaps = time_gaps
        self.dropout = dropout
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.average = average
        self.refit = refit
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Fit the network.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
            Histories. Padded codes are integers with 0 for padding, each sample a patient.
        y : list or object array of n_samples arrays
            For each sample an array of shape (n_visits,), one label per visit, or of shape
            (n_visits, n_labels), an indicator; in the order of the visits, without the static one.
            None or NaN marks a missing label. Labels of visits that `max_visits` left out may be
            included, and are ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, for all of their visits.
        X_val : VisitSequences or array-like of shape (n_val, n_visits, n_codes), default=None
            Histories of a validation set, as in `LSTMVisitClassifier`.
        y_val : list or object array of n_val arrays, default=None
            Labels of the validation set.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If labels do not match the visits, are all missing or of one class only, weights are
            negative or all 0, a part of a visit became known only after the next visit
            (`known_time`), or the folder of `checkpoint` is in use.
        OSError
            If `checkpoint` cannot be written, or its disk has too little space.
        """
        X = as_sequences(X)
        refuse_features(X, type(self).__name__)
        refuse_late_facts(X)
        labels, is_labelled = read_labels(flatten_labels(X, y, type(self).__name__))
        coding = LabelCoding.of(labels)
        samples = self._encode(X, y, labels, is_labelled, coding, sample_weight)
        if not samples.data.is_weighted.any():
            raise ValueError("sample_weight leaves every labelled visit a weight of zero.")
        if not coding.is_multilabel:
            used = np.repeat(samples.data.is_weighted, _count_labelled(X, is_labelled))
            check_two_classes(np.unique(labels[used]), type(self).__name__)

        def encode(X_val):
            refuse_late_facts(X_val)
            labels, is_labelled = read_labels(flatten_labels(X_val, y_val, type(self).__name__))
            refuse_other_labels(coding, labels)
            return self._encode(X_val, y_val, labels, is_labelled, coding)

        validation = self._read_validation(X, X_val, y_val, encode)
        learnt = coding.learnt()
        task = coding.task() | {"net": VisitTaggerNet}
        self._train(samples, validation, learnt, **task)
        return self

    def _encode(self, X, y, labels, is_labelled, coding, sample_weight=None):
        """Samples with a target for every visit; those without any label have no weight."""
        target = _place_target(X, coding, labels, is_labelled)
        weight = check_weight(sample_weight, X) * (_count_labelled(X, is_labelled) > 0)
        strata = np.zeros(len(X), dtype=np.int64)
        return self._samples(X, y, target, weight, strata, by_visit=True)

    def predict_proba(self, X):
        """Predict the probability of each class, or of each label, for each visit.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,), object
            For each sample an array of shape (n_visits, n_classes) or (n_visits, n_labels), without
            the static visit.
        """
        check_is_fitted(self)
        X = as_sequences(X)
        proba = self._proba(X)
        return split_by_sample(proba, _dated_offsets(X))

    def predict(self, X):
        """Predict the most probable class of each visit, or which labels it has.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,), object
            For each sample an array of shape (n_visits,) or (n_visits, n_labels), without the
            static visit. A visit has the labels whose probability is above 0.5.
        """
        check_is_fitted(self)
        X = as_sequences(X)
        proba = self._proba(X)
        return split_by_sample(self._coding.to_labels(proba), _dated_offsets(X))

    def score(self, X, y, sample_weight=None):
        """Accuracy on labelled visits; with several labels, all labels of a visit must be right.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        y : list or object array of n_samples arrays
            As in `fit`. Visits with a missing label are ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, for all of their visits.

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
