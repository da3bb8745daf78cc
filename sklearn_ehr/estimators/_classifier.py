"""Classifier of patient histories."""

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ..utils import split_by_sample
from ._base import BaseVisitLSTM
from ._inputs import as_sequences
from .targets import (
    LabelCoding,
    check_labels,
    check_two_classes,
    check_weight,
    coding_given,
    strata_of_labels,
    weigh_classes,
)


class LSTMVisitClassifier(ClassifierMixin, BaseVisitLSTM):
    """Classify histories of visits with an LSTM [1]_ over pooled code embeddings.

    Each visit is the pool of its codes' embeddings; an LSTM reads the visits from the first to the
    last, and a linear head turns its final state into one log-odds (two classes), one logit a
    class, or with several labels a sample one log-odds a label. The weights that validate and
    predict are an average over about the last tenth of the training steps [4]_. A sample without
    visits has a zero state and so the answer of the head's bias, which is no base rate.

    By default `fit` sets a tenth of the patients apart and trains until their loss no longer falls;
    fits a logistic regression on counts of codes, and finds how much of it and of the network
    predict them best together; and then trains both anew on all patients. The network as the field
    describes it is ``mlp_dim=0, linear_skip=False``.

    Parameters
    ----------
    embedding_dim : int, default=256
        Size of a code's embedding, and of a visit's vector.
    embedding_init : mapping, DataFrame or "svd", default=None
        Vectors that codes start with: a mapping from code to vector, or a frame with the codes as
        its index and `embedding_dim` columns; other codes start at random, as with None.
        "svd" makes them of the codes' positive mutual information in the visits of `X` [3]_;
        `make_code_vectors` does so for other patients, who need no labels.
    freeze_embedding : bool, default=False
        Keep the vectors of `embedding_init` as they are, and what codes without one start with.
    hidden_dim : int, default=128
        Size of the LSTM's state, in one direction.
    num_layers : int, default=1
        Number of stacked LSTM layers.
    aggregation : {"mean", "sum", "max", "attention"}, default="mean"
        How the codes of a visit are pooled. "attention" learns a weight for each code.
    mlp_dim : int, default=256
        Hidden units of a residual MLP on the vector of each visit, so that codes can mean together
        what none means alone. 0: no MLP.
    linear_skip : bool, default=True
        Stack the network with a linear model of ``log1p`` of the counts of codes, in the history
        and in the last visit [5]_: a logistic regression with ``C=0.01``, fitted by itself. The
        logits of both are added up, each times a share, see `network_share_` and `linear_share_`.
        The validation split of `early_stopping` says which shares have the lowest loss, and whether
        one of them is 0, by Akaike's criterion: then the network alone answers, or the linear model
        alone. A constant brings the mean probability to the (weighted) base rate. Without that
        split, or with False, the network answers as it was trained, by dropout to somewhat too high
        probabilities of a rare class.
    bidirectional : bool, default=False
        Also read the visits backwards.
    time_gaps : bool, default=False
        Read times too: ``log1p`` of the gap before each visit (days, or the unit of numeric times)
        beside its vector, and of the time from the last visit to the prediction beside the state
        given to the head.
    dropout : float, default=0.5
        Share of units dropped in training: of visit vectors, in the MLP, between LSTM layers, and
        of the final state.
    lr : float, default=1e-3
        Learning rate of AdamW [2]_.
    weight_decay : float, default=0.3
        Decoupled weight decay of AdamW, a step's share of ``lr * weight_decay``, of all weights but
        the embedding.
    batch_size : int, default=128
        Samples a training step, and in one forward pass of prediction.
    max_epochs : int, default=50
        Passes over the training samples, at most; without `early_stopping` so many, and 50 are then
        far too many of most data.
    early_stopping : bool, default=True
        Set patients apart as a validation split, stop when its loss no longer falls, and restore
        the weights of the best epoch. The split keeps a patient on one side and is stratified by
        outcome where it can be.
    refit : bool, default=True
        After early stopping train anew on all samples: for as many epochs as led to the last one
        whose validation loss is within ``2 / n`` of the lowest, `n` being the outcomes of the
        validation split, as they do not tell it from the best [6]_; with `scoring`, to the one of
        the highest score. `callbacks` see both trainings, and in the second a validation loss of
        samples that are trained on. Where it is cut short, the first network stays. Without
        `early_stopping` there is one training, on all samples.
    scoring : str or callable, default=None
        Scorer of scikit-learn that says instead of the loss which epoch is the best, such as
        "average_precision"; the higher, the better. It is weighed by `sample_weight` alone.
    validation_fraction : float, default=0.1
        Share of the patients set apart.
    n_iter_no_change : int, default=5
        Epochs without a lower validation loss, or a higher score, before training stops.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in scikit-learn; for one label a sample. Other than None it
        distorts the probabilities.
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
        The classes, ascending; with several labels a sample the labels' positions.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    vocabulary_ : Vocabulary or None
        The vocabulary of the sequences it was fitted with.
    embedding_coverage_ : float
        Share of the codes that `embedding_init` gave a vector; 0 without it.
    history_ : DataFrame
        Losses and duration (seconds) of each epoch of the network, before `refit`, and of each
        `partial_fit`.
    network_share_, linear_share_ : float
        How much of the network's logits (0 to 1) and of those of the linear model of `linear_skip`
        (0 to 3) make up the answer of `fit`; 1 and 0 without it. `partial_fit` goes on training the
        network in that sum.

    See Also
    --------
    VisitSequenceTransformer : Makes the sequences.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9(8),
       1997, p. 1735-1780.
    .. [2] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
       algorithm 2.
    .. [3] O. Levy, Y. Goldberg and I. Dagan, "Improving distributional similarity with lessons
       learned from word embeddings", Transactions of the ACL 3, 2015, p. 211-225.
    .. [4] O. Shamir and T. Zhang, "Stochastic gradient descent for non-smooth optimization:
       convergence results and optimal averaging schemes", ICML 2013, PMLR 28(1), p. 71-79.
    .. [5] D. H. Wolpert, "Stacked generalization", Neural Networks 5(2), 1992, p. 241-259.
    .. [6] A. W. F. Edwards, "Likelihood", Cambridge University Press, 1972: two units of support.

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
        class_weight=None,
        device="auto",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            embedding_dim=embedding_dim,
            embedding_init=embedding_init,
            freeze_embedding=freeze_embedding,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            aggregation=aggregation,
            mlp_dim=mlp_dim,
            linear_skip=linear_skip,
            bidirectional=bidirectional,
            time_gaps=time_gaps,
            dropout=dropout,
            lr=lr,
            weight_decay=weight_decay,
            batch_size=batch_size,
            max_epochs=max_epochs,
            early_stopping=early_stopping,
            refit=refit,
            scoring=scoring,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            device=device,
            callbacks=callbacks,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the network.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
            Padded codes are integers, 0 is padding, and each sample is a patient of its own.
        y : array-like of shape (n_samples,), or array-like or sparse of shape (n_samples, n_labels)
            Classes of any type, or an indicator of several labels: 1 where a sample has one.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, in training and in early stopping; 0 leaves a sample out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If lengths differ, labels are null or of one class, weights are negative or all 0, or
            `class_weight` meets several labels.
        """
        X = as_sequences(X)
        y = check_labels(X, y, type(self).__name__)
        coding = LabelCoding.of(y)
        encoded = coding.encode(y)
        given = check_weight(sample_weight, X)
        weight = weigh_classes(self.class_weight, given, encoded, coding)
        if not coding.is_multilabel:
            check_two_classes(np.unique(y[weight > 0]), type(self).__name__)
        strata = strata_of_labels(encoded)
        target, learnt = coding.as_target(encoded), _learnt(coding)
        self._train(X, y, target, weight, strata, learnt=learnt, given=given, **coding.task())
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train one epoch more; on all samples, without early stopping.

        The linear term of `linear_skip` stays as `fit` left it.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        y : array-like of shape (n_samples,), or array-like or sparse of shape (n_samples, n_labels)
        classes : array-like of shape (n_classes,), default=None
            All the classes there will be, or the positions of the labels; needed in the first call.
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
        y = check_labels(X, y, type(self).__name__)
        coding = coding_given(classes, y, getattr(self, "_coding", None), type(self).__name__)
        encoded = coding.encode(y)
        if n_other := np.count_nonzero(encoded < 0):
            raise ValueError(
                f"y has {n_other} label(s) that are none of the {len(coding.classes)} classes "
                f"known from the first call. Name all labels there will be in classes."
            )
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all labels at once, which partial_fit never sees. "
                "Give the weights as a dict."
            )
        given = check_weight(sample_weight, X)
        weight = weigh_classes(self.class_weight, given, encoded, coding)
        self._train_further(X, coding.as_target(encoded), weight, **coding.task())
        vars(self).update(_learnt(coding))
        return self

    def decision_function(self, X):
        """Return the log-odds of the second class, each class's logit, or each label's log-odds.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes), float64
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

    def predict_proba_by_visit(self, X):
        """Return the probability of each class, or of each label, as of the end of each visit.

        It is what `predict_proba` returns for a cohort cut at the end of the visit, when all its
        events were known: also where a transformer's `max_visits` cuts histories short. Under a
        lookback the history begins where it does in `X`. With `time_gaps` the last row, too, is as
        of the end of its visit, when no time has passed.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,), object
            Of each sample an array of shape (n_visits, n_classes) or (n_visits, n_labels), float64,
            a row for each visit in `X`, a static one included.

        Raises
        ------
        ValueError
            If the network is bidirectional, or a visit overlaps with the one before: what was known
            at the end of that one is no number of whole visits.
        """
        check_is_fitted(self)
        X = as_sequences(X)
        outputs = self._outputs_by_visit(X)
        proba = self._coding.to_proba(self._coding.to_logits(outputs))
        return split_by_sample(proba, X.sample_offsets)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _learnt(coding):
    return {"_coding": coding, "classes_": coding.classes}
