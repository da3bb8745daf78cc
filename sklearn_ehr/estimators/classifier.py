"""How likely each class is, given a history of visits."""

from numbers import Real

import numpy as np
import pandas as pd
import torch
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    column_or_1d,
)

from ._base import BaseVisitLSTM, VisitClassifierNet, as_sequences


class LSTMVisitClassifier(ClassifierMixin, BaseVisitLSTM):
    """Classify histories of visits with an LSTM [1]_ over pooled code embeddings.

    Each visit is the pool of its codes' embeddings; an LSTM reads the visits from the first to the
    last, and a linear head turns its final state into one log-odds (two classes) or one logit a
    class. Codes are never padded, and histories of similar length share a batch. A sample without
    visits has a zero state and so the answer of the head's bias, which is no base rate.

    Parameters
    ----------
    embedding_dim : int, default=128
        Size of a code's embedding, and of a visit's vector.
    hidden_dim : int, default=128
        Size of the LSTM's state, in one direction.
    num_layers : int, default=1
        Number of stacked LSTM layers.
    aggregation : {"mean", "sum", "max", "attention"}, default="mean"
        How the codes of a visit are pooled. "attention" learns a weight for each code.
    bidirectional : bool, default=False
        Also read the visits backwards.
    dropout : float, default=0.3
        Share of units dropped in training: of visit vectors, between LSTM layers, and of the final
        state.
    lr : float, default=1e-3
        Learning rate of AdamW [2]_.
    weight_decay : float, default=0.0
        Decoupled weight decay of AdamW.
    batch_size : int, default=128
        Samples a training step, and in one forward pass of prediction.
    max_epochs : int, default=50
        Passes over the training samples, at most.
    early_stopping : bool, default=True
        Set patients apart as a validation split, stop when its loss no longer falls, and restore
        the weights of the best epoch. The split keeps a patient on one side and is stratified by
        outcome where it can be.
    validation_fraction : float, default=0.1
        Share of the patients set apart.
    n_iter_no_change : int, default=5
        Epochs without a lower validation loss before training stops.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in scikit-learn. Other than None it distorts the probabilities.
    device : str, default="auto"
        A torch device; "auto" takes CUDA where there is one. There cuDNN rounds as
        ``torch.backends.cudnn.allow_tf32`` says, by default more coarsely than a CPU.
    callbacks : list of skorch callbacks, default=None
        Cloned before use; `(name, callback)` tuples are accepted.
    random_state : int, RandomState instance or None, default=None
        Seeds the split, the initial weights, dropout and the order of samples. With an integer, the
        same bits come out on one CPU with the same number of threads. torch's global random state
        is left as found.
    verbose : int, default=0
        1 prints a line an epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, ascending.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    vocabulary_ : Vocabulary or None
        The vocabulary of the sequences it was fitted with.
    history_ : DataFrame
        Losses and duration (seconds) of each epoch.

    See Also
    --------
    VisitSequenceTransformer : Makes the sequences.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9(8),
       1997, p. 1735-1780.
    .. [2] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
       algorithm 2.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(200, random_state=0)
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitClassifier(max_epochs=2, random_state=0)
    ... )
    >>> model.fit(X[:150], y[:150]).predict_proba(X[150:]).shape
    (50, 2)
    """

    _parameter_constraints = {
        **BaseVisitLSTM._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
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
        class_weight=None,
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
        self.class_weight = class_weight
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the network.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
            Padded codes are integers, 0 is padding, and each sample is a patient of its own.
        y : array-like of shape (n_samples,)
            Labels of any type.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, in training and in early stopping; 0 leaves a sample out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If lengths differ, labels are null or of one class, or weights are negative or all 0.
        """
        X = as_sequences(X)
        y = _check_labels(X, y)
        classes, target = np.unique(y, return_inverse=True)
        weight = self._weights(X, target, classes, sample_weight)
        _check_two_classes(np.unique(y[weight > 0]))
        self._train(X, _as_target(target, classes), weight, target, **_task(classes))
        self.classes_ = classes
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train one epoch more; on all samples, without early stopping.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All the labels there will be; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `classes` is missing in the first call or another in a later one, or a label is none
            of them.
        """
        X = as_sequences(X)
        y = _check_labels(X, y)
        classes = self._all_classes(classes)
        target = pd.Index(classes).get_indexer(y)
        if n_other := np.count_nonzero(target < 0):
            raise ValueError(
                f"y has {n_other} label(s) that are none of the {len(classes)} classes known from "
                f"the first call. Name all labels there will be in classes."
            )
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all labels at once, which partial_fit never sees. "
                "Give the weights as a dict."
            )
        weight = self._weights(X, target, classes, sample_weight)
        self._train_further(X, _as_target(target, classes), weight, **_task(classes))
        self.classes_ = classes
        return self

    def decision_function(self, X):
        """Return the log-odds of the second class, or each class's logit.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes), float64
        """
        logits = self._outputs(X).astype(np.float64)
        return logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X):
        """Return the probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
        """
        logits = self.decision_function(X)
        if logits.ndim == 2:
            return softmax(logits, axis=1)
        return np.stack([expit(-logits), expit(logits)], axis=1)

    def predict(self, X):
        """Return the most probable class.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def _weights(self, X, target, classes, sample_weight):
        """Weight of each sample's loss."""
        weight = _check_sample_weight(
            _as_numbers(sample_weight), X, dtype=np.float64, copy=True, ensure_non_negative=True
        )
        if self.class_weight is not None:
            weight *= self._weight_per_class(target, classes, weight)[target]
        if (weight < 0).any():
            raise ValueError(
                f"class_weight={self.class_weight!r} has negative weights; they must be at least 0."
            )
        if not weight.any():
            raise ValueError("sample_weight and class_weight leave every sample a weight of zero.")
        return weight

    def _weight_per_class(self, target, classes, weight):
        """Weight of each class; that of a class without any weight among the samples is 1."""
        if self.class_weight != "balanced":
            return compute_class_weight(self.class_weight, classes=classes, y=classes[target])
        per_class = np.ones(len(classes))
        used = weight > 0
        seen = np.unique(target[used])
        if seen.size:
            per_class[seen] = compute_class_weight(
                "balanced", classes=seen, y=target[used], sample_weight=weight[used]
            )
        return per_class

    def _all_classes(self, classes):
        known = getattr(self, "classes_", None)
        if classes is None:
            if known is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return known
        classes = np.unique(_as_labels(classes))
        _check_two_classes(classes)
        if known is not None and not np.array_equal(known, classes):
            raise ValueError("classes is not the same as on the first call to partial_fit.")
        return classes

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = True
        return tags


def _check_labels(X, y):
    if y is None:
        raise ValueError(
            "LSTMVisitClassifier requires y to be passed, but the target y is None. Give a label "
            "for each sample."
        )
    y = _as_labels(y)
    check_consistent_length(X, y)
    check_classification_targets(y)
    return y


def _as_labels(y):
    """Labels without nulls, of the plainest numpy type that holds them."""
    # numpy first: scikit-learn makes floats of pandas' nullable and categorical bools.
    y = column_or_1d(np.asarray(y), warn=True)
    if n_null := int(np.count_nonzero(pd.isna(y))):
        raise ValueError(
            f"y has {n_null} null label(s). Drop those samples, or find their outcome."
        )
    return pd.Series(y).infer_objects().to_numpy() if y.dtype == object else y


def _as_numbers(sample_weight):
    """Weights as an array; scikit-learn's own conversion prints what is no number."""
    if sample_weight is None or isinstance(sample_weight, Real):
        return sample_weight
    try:
        return np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"sample_weight must hold a number for each sample; got a "
            f"{type(sample_weight).__name__} that does not convert to float."
        ) from None


def _check_two_classes(classes):
    if len(classes) < 2:
        raise ValueError(
            f"LSTMVisitClassifier needs samples of at least 2 classes, but the data contains only "
            f"one class: {classes[0]!r}."
        )


def _as_target(target, classes):
    return target.astype(np.float32 if len(classes) == 2 else np.int64)


def _task(classes):
    is_binary = len(classes) == 2
    return {
        "net": VisitClassifierNet,
        "criterion": torch.nn.BCEWithLogitsLoss if is_binary else torch.nn.CrossEntropyLoss,
        "output_dim": 1 if is_binary else len(classes),
    }
