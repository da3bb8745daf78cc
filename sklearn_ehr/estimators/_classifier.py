"""Classifier of patient histories."""

import numpy as np
from sklearn.base import ClassifierMixin

from ..utils import StrOptions, fit_context
from ._base import BaseVisitLSTM
from ._by_visit import RiskByVisitMixin
from ._inputs import as_sequences
from .targets import (
    LabelCoding,
    check_further_labels,
    check_labels,
    check_two_classes,
    check_weight,
    coding_given,
    refuse_other_labels,
    resolve_class_weight,
    strata_of_labels,
    weigh_classes,
)


class LSTMVisitClassifier(ClassifierMixin, RiskByVisitMixin, BaseVisitLSTM):
    """Classify patient histories with an LSTM over visits.

    The embeddings of the codes of a visit are pooled into a vector, an LSTM [1]_ reads these
    vectors from the first visit to the last, and a linear layer turns its last state into the
    log-odds of the second class (two classes), a logit per class, or log-odds per label
    (multilabel). The loss is the cross-entropy, the mean over samples, or over labels too.

    Parameters
    ----------
    embedding_dim : int, default=256
        Size of the embedding of a code, and of the vector of a visit.
    embedding_init : mapping or DataFrame, default=None
        Initial embeddings, for instance those of `make_code_vectors`: a mapping from code to
        vector, or a frame with codes as its index and `embedding_dim` columns. The embeddings of
        all other codes are initialized at random, with a standard deviation of 1/4 if `aggregation`
        is "sum", otherwise of 1. To keep the given embeddings fixed, pass
        ``callbacks=[skorch.callbacks.Freezer("embedding.weight")]``.
    hidden_dim : int, default=128
        Size of the state of the LSTM, per direction.
    num_layers : int, default=1
        Number of stacked LSTM layers.
    aggregation : {"mean", "sum", "max", "attention"}, default="sum"
        How the embeddings of the codes of a visit are pooled. "attention" learns a weight for each
        code. With `time_gaps`, "mean" can learn more from gaps than "sum".
    mlp_dim : int, default=0
        Number of hidden units of a residual MLP on the vector of each visit, which can learn
        interactions between codes. 0 means no MLP.
    bidirectional : bool, default=False
        Whether a second LSTM reads the visits from the last to the first.
    time_gaps : bool, default=False
        Whether the network reads times: the LSTM reads ``log1p`` of the time since the previous
        visit, and the linear layer ``log1p`` of the time from the last visit to the prediction, in
        days or in the unit of numeric times.
    dropout : float, default=0.5
        Dropout rate of visit vectors, inside the MLP, between LSTM layers, and of the final state.
    lr : float, default=0.001
        Learning rate of the AdamW optimizer [2]_.
    weight_decay : float, default=0.6
        Decoupled weight decay of AdamW, for all weights except the embeddings.
    batch_size : int, default=128
        Number of samples per training step, and per forward pass in prediction.
    max_epochs : int, default=50
        Maximum number of epochs. Without early stopping, the number of epochs.
    early_stopping : bool, default=True
        Whether to stop training when the validation loss, or `scoring`, no longer improves, and to
        restore the weights of the best epoch. The validation set is `X_val` of `fit`, if given;
        otherwise it is split off from `X`. The split keeps each patient on one side, and is
        stratified by outcome if possible.
    average : bool, default=False
        Whether to use an average of the weights over about the last tenth of the training steps
        [3]_ for validation and prediction.
    refit : bool, default=True
        Whether to train again from scratch on all samples, for the best number of epochs, after
        early stopping. Has no effect if `X_val` is given.
    scoring : str or callable, default=None
        Metric used to select the best epoch, such as "average_precision". By default, the
        validation loss. Only `sample_weight` is passed to it, not class weights.
    validation_fraction : float, default=0.1
        Share of the patients that are split off for validation.
    n_iter_no_change : int, default=5
        Number of epochs without improvement after which training stops.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn. Not for multilabel outcomes. Weights other than
        None distort the predicted probabilities.
    device : str, default="auto"
        Torch device. "auto" is CUDA if available, else the CPU. On a CPU, each fit and each
        prediction uses one thread; use `n_jobs` to run several in parallel.
    callbacks : list, default=None
        Callbacks of skorch, or tuples of a name and a callback. They are cloned before use,
        including the objects they hold; one that must be shared, such as one that reports to a
        study, can return itself from `__sklearn_clone__`. They are also called during the refit,
        which has no validation loss.
    checkpoint : str or path-like, default=None
        Directory in which `fit` writes a checkpoint after each epoch; needs the extra `checkpoint`.
        A fit that was interrupted or killed is resumed by the same call, and ends in the same model
        as without the break. A finished one is not repeated, not even if `random_state` is None.
        Each fit has its own folder there, so the fits of a search can share a directory. Of
        callbacks, numbers, strings and objects with a `state_dict` are restored.
    random_state : int, RandomState instance or None, default=None
        Controls the validation split, the initial weights, dropout and the order of samples. Pass
        an int for reproducible results: on a CPU, they are bitwise identical for the same type of
        CPU and version of torch.
    verbose : int, default=0
        If 1, print one line per epoch with the losses, the score, the best epoch so far, and the
        estimated time left. A last line says which epoch's weights were kept.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes in ascending order; for multilabel outcomes, the positions of the labels.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module. A loaded one has no callbacks.
    vocabulary_ : Vocabulary or None
        Vocabulary of the sequences that the model was fitted on.
    feature_names_ : list of str or None
        Names of the features of the sequences, which are read beside the codes: a linear map of
        them is added to the last state.
    embedding_coverage_ : float
        Share of the codes whose initial embedding was given by `embedding_init`.
    history_ : DataFrame
        One row per epoch: the `stage` of training that it belongs to ("fit", "refit" or
        "partial_fit"), its number in that stage (`epoch`), the learning rate (`lr`), the mean loss
        on training samples, with dropout (`train_loss`), that on validation samples (`valid_loss`),
        the validation score if there is `scoring` (`valid_score`), and the duration in seconds
        (`dur`). Losses are weighted, and are those before the bias is refitted.

    See Also
    --------
    VisitSequenceTransformer : Makes the sequences.
    CodeCountVectorizer : Counts of the same codes, for a regression or trees.

    Notes
    -----
    After training, the bias of the linear layer is refitted on the training samples with dropout
    turned off, so that the mean prediction matches the mean outcome.

    A history without visits has a zero state, so its prediction is that of the last layer's bias
    (and of the features, if any), not the base rate.

    With scikit-learn 1.9 or later, `set_callbacks` takes its callbacks, such as ``ProgressBar`` and
    ``ScoringMonitor``. Each epoch of `fit` is a task, in which callbacks can use the current model.
    On CUDA, cuDNN may use TF32 (``torch.backends.cudnn.allow_tf32``): results differ slightly.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9(8),
       1997, p. 1735-1780.
    .. [2] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
       algorithm 2.
    .. [3] O. Shamir and T. Zhang, "Stochastic gradient descent for non-smooth optimization:
       convergence results and optimal averaging schemes", ICML 2013, PMLR 28(1), p. 71-79.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(1000, random_state=0)
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitClassifier(max_epochs=2, random_state=0)
    ... )
    >>> model.fit(X[:800], y[:800]).predict_proba(X[800:]).shape
    (200, 2)
    """

    _parameter_constraints = {
        **BaseVisitLSTM._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        *,
        embedding_dim=256,
        embedding_init=None,
        hidden_dim=128,
        num_layers=1,
        aggregation="sum",
        mlp_dim=0,
        bidirectional=False,
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
        class_weight=None,
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
        self.bidirectional = bidirectional
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
        self.class_weight = class_weight
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
        y : array-like of shape (n_samples,), or array-like or sparse of shape (n_samples, n_labels)
            Classes of any type, or an indicator of several labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples. A sample with weight 0 is left out.
        X_val : VisitSequences or array-like of shape (n_val, n_visits, n_codes), default=None
            Histories of a validation set for early stopping, for instance of a later year. In a
            pipeline, it takes metadata routing, ``transform_input=["X_val"]`` and
            ``set_fit_request(X_val=True, y_val=True)``.
        y_val : array-like of shape (n_val,) or (n_val, n_labels), default=None
            Outcomes of the validation set.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If lengths differ, labels are null or of one class only, weights are negative or all 0,
            `class_weight` is given for several labels, the validation set has other labels, the
            folder of `checkpoint` is in use, or the training diverges.
        OSError
            If `checkpoint` cannot be written, or its disk has too little space.
        """
        X = as_sequences(X)
        y = check_labels(X, y, type(self).__name__)
        coding = LabelCoding.of(y)
        given = check_weight(sample_weight, X)
        class_weight = resolve_class_weight(self.class_weight, given, y, coding)
        samples = self._encode(X, y, coding, class_weight, given)
        if not coding.is_multilabel:
            check_two_classes(np.unique(y[samples.data.is_weighted]), type(self).__name__)

        def encode(X_val):
            labels = check_labels(X_val, y_val, type(self).__name__)
            refuse_other_labels(coding, labels)
            return self._encode(X_val, labels, coding, class_weight, np.ones(len(labels)))

        validation = self._read_validation(X, X_val, y_val, encode)
        self._train(samples, validation, coding.learnt(), **coding.task())
        return self

    def _encode(self, X, y, coding, class_weight, given):
        """Samples with encoded labels, weighted by class too."""
        encoded = coding.encode(y)
        weight = weigh_classes(class_weight, given, encoded, coding)
        strata = strata_of_labels(encoded)
        return self._samples(X, y, coding.as_target(encoded), weight, strata, given)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one more epoch, on all samples and without early stopping.

        Unlike `fit`, it does not refit the bias of the linear layer. Between calls `lr`,
        `weight_decay`, `batch_size`, `dropout`, `class_weight` and `verbose` may be changed. A
        change of the network, `average`, `device`, `callbacks` or `random_state` raises an error;
        all other parameters are ignored here.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        y : array-like of shape (n_samples,), or array-like or sparse of shape (n_samples, n_labels)
        classes : array-like of shape (n_classes,), default=None
            All the classes there will be, or the positions of the labels. Needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, which also say how much a call counts beside others.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `classes` is missing in the first call or another in a later one, a label is none of
            them, a parameter was changed that may not be, or the training diverges.
        """
        X = as_sequences(X)
        y = check_labels(X, y, type(self).__name__)
        coding = coding_given(classes, y, getattr(self, "_coding", None), type(self).__name__)
        encoded = coding.encode(y)
        check_further_labels(encoded, coding, self.class_weight)
        given = check_weight(sample_weight, X, is_scaled=False)
        weight = weigh_classes(self.class_weight, given, encoded, coding)
        self._train_further(X, coding.as_target(encoded), weight, **coding.task())
        vars(self).update(coding.learnt())
        return self

    def decision_function(self, X):
        """Return the log-odds of the second class, each class's logit, or each label's log-odds.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels), float64
        """
        outputs = self._outputs(X)
        return self._coding.to_logits(outputs)

    def predict_proba(self, X):
        """Return the probability of each class, or of each label, in the order of `classes_`.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
        """
        logits = self.decision_function(X)
        return self._coding.to_proba(logits)

    def predict(self, X):
        """Return the most probable class, or 1 for each label more probable than not.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        proba = self.predict_proba(X)
        return self._coding.to_labels(proba)

    @property
    def _outcome(self):
        return self._coding

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
