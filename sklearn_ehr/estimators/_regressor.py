"""Regressor of numbers from patient histories."""

import numpy as np
from sklearn.base import RegressorMixin

from ..utils import StrOptions, fit_context
from ._base import BaseVisitLSTM
from ._inputs import as_sequences
from .targets import NumberScaling, check_numbers, check_weight


class LSTMVisitRegressor(RegressorMixin, BaseVisitLSTM):
    """Predict numbers from patient histories, such as days in hospital or numbers of visits.

    The network is that of `LSTMVisitClassifier`, with one output per outcome.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "poisson"}, default="squared_error"
        Loss function. For the first two, `y` is standardized internally, so that `lr` suits any
        unit. "poisson" is the Poisson deviance of counts or rates [1]_, whose logarithm the network
        predicts.
    embedding_dim, embedding_init, hidden_dim, num_layers, aggregation, mlp_dim, bidirectional, \
time_gaps, dropout, lr, weight_decay, batch_size, max_epochs
        As in `LSTMVisitClassifier`.
    early_stopping, average, refit, scoring, validation_fraction, n_iter_no_change
        As in `LSTMVisitClassifier`. The validation split is not stratified.
    device, callbacks, checkpoint, random_state, verbose
        As in `LSTMVisitClassifier`.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The fitted net, which predicts on the scale of training.
    vocabulary_, feature_names_, embedding_coverage_, history_
        As in `LSTMVisitClassifier`.

    See Also
    --------
    LSTMVisitClassifier : For classes and labels.

    References
    ----------
    .. [1] P. McCullagh and J. A. Nelder, "Generalized Linear Models", 2nd edition, Chapman and
       Hall 1989, p. 34 and chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitRegressor, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, _ = make_visits(1000, random_state=0)
    >>> y = np.log(X.samples["risk"])
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitRegressor(max_epochs=2, random_state=0)
    ... )
    >>> model.fit(X[:800], y[:800]).predict(X[800:]).shape
    (200,)
    """

    _parameter_constraints = {
        **BaseVisitLSTM._parameter_constraints,
        "loss": [StrOptions({"squared_error", "absolute_error", "poisson"})],
    }

    def __init__(
        self,
        *,
        loss="squared_error",
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
        device="auto",
        callbacks=None,
        checkpoint=None,
        random_state=None,
        verbose=0,
    ):
        self.loss = loss
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
        y : array-like of shape (n_samples,) or (n_samples, n_outcomes)
            Finite numbers. With ``loss="poisson"`` at least 0, and not all 0.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples. A sample with weight 0 is left out.
        X_val : VisitSequences or array-like of shape (n_val, n_visits, n_codes), default=None
            Histories of a validation set, as in `LSTMVisitClassifier`.
        y_val : array-like of shape (n_val,) or (n_val, n_outcomes), default=None
            Outcomes of the validation set.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If lengths differ, `y` is not as described or too large to scale, weights are negative
            or all 0, the folder of `checkpoint` is in use, or the training diverges.
        OSError
            If `checkpoint` cannot be written, or its disk has too little space.
        """
        X = as_sequences(X)
        y = check_numbers(X, y, type(self).__name__, self.loss)
        weight = check_weight(sample_weight, X)
        used = weight > 0
        scaling = NumberScaling.of(y[used], weight[used], self.loss)
        samples = self._encode(X, y, scaling, weight)

        def encode(X_val):
            numbers = check_numbers(X_val, y_val, type(self).__name__, self.loss)
            scaling.refuse_other_outcomes(numbers)
            return self._encode(X_val, numbers, scaling, np.ones(len(numbers)))

        validation = self._read_validation(X, X_val, y_val, encode)
        self._train(samples, validation, {"_scaling": scaling}, **scaling.task())
        return self

    def _encode(self, X, y, scaling, weight):
        """Samples with scaled numbers; those without weight may have any."""
        y = y.copy()
        y[weight == 0] = scaling.center
        strata = np.zeros(len(y), dtype=np.int64)
        return self._samples(X, y, scaling.as_target(y), weight, strata)

    def predict(self, X):
        """Predict the mean of each outcome, or with ``loss="absolute_error"`` its median.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outcomes), float64
        """
        outputs = self._outputs(X)
        return self._scaling.to_numbers(outputs)

    @property
    def _outcome(self):
        return self._scaling

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
