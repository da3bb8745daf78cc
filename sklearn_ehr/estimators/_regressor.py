"""Regressor of numbers from patient histories."""

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions

from ._base import BaseVisitLSTM
from ._inputs import as_sequences
from .targets import NumberScaling, check_numbers, check_weight


class LSTMVisitRegressor(RegressorMixin, BaseVisitLSTM):
    """Predict numbers from histories of visits, such as days in hospital or counts of visits.

    The network of `LSTMVisitClassifier` with one output a number.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "poisson"}, default="squared_error"
        What is made small: the mean of squared or absolute errors, with `y` standardised inside so
        that `lr` fits any unit; or the Poisson deviance of counts or rates [1]_, at least 0, whose
        logarithm the network predicts.
    embedding_dim, embedding_init, freeze_embedding, hidden_dim, num_layers, aggregation, \
mlp_dim, linear_skip, bidirectional, time_gaps, dropout, lr, weight_decay, batch_size, max_epochs
        As in `LSTMVisitClassifier`.
    early_stopping : bool, default=True
        Set patients apart as a validation split, stop when its loss no longer falls, and restore
        the weights of the best epoch.
    refit, scoring, validation_fraction, n_iter_no_change, device, callbacks, random_state, verbose
        As in `LSTMVisitClassifier`.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The fitted net, which predicts in the scale it was trained in.
    vocabulary_ : Vocabulary or None
        The vocabulary of the sequences it was fitted with.
    embedding_coverage_ : float
        Share of the codes that `embedding_init` gave a vector; 0 without it.
    history_ : DataFrame
        Losses and duration (seconds) of each epoch, before `refit`.
    network_share_, linear_share_ : float
        As in `LSTMVisitClassifier`, of what is predicted in that scale. The linear model is a ridge
        regression, or one of counts; Akaike's criterion, and the two units of `refit`, take the
        mean loss in that scale for a log-likelihood, a rule of thumb.

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
    >>> X, _ = make_visits(200, random_state=0)
    >>> y = np.log(X.samples["risk"])
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitRegressor(max_epochs=2, random_state=0)
    ... )
    >>> model.fit(X[:150], y[:150]).predict(X[150:]).shape
    (50,)
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
        self.loss = loss

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the network.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
            Padded codes are integers, 0 is padding, and each sample is a patient of its own.
        y : array-like of shape (n_samples,) or (n_samples, n_outcomes)
            Numbers, finite; with ``loss="poisson"`` at least 0, and not all 0.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, in training and in early stopping; 0 leaves a sample out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If lengths differ, numbers are not what they must be, or weights are negative or all 0.
        """
        X = as_sequences(X)
        y = check_numbers(X, y, type(self).__name__)
        weight = check_weight(sample_weight, X)
        used = weight > 0
        if not used.any():
            raise ValueError("sample_weight leaves every sample a weight of zero.")
        scaling = NumberScaling.of(y[used], weight[used], self.loss)
        if self.loss == "poisson" and ((y < 0).any() or (scaling.scale == 0).any()):
            raise ValueError(
                "loss='poisson' needs counts or rates: y of at least 0, and for each outcome not "
                "all 0. Use another loss, or another outcome."
            )
        no_strata = np.zeros(len(y), dtype=np.int64)
        target, learnt = scaling.as_target(y), {"_scaling": scaling}
        self._train(X, y, target, weight, no_strata, learnt=learnt, **scaling.task())
        return self

    def predict(self, X):
        """Return the expected number; with ``loss="absolute_error"`` its median.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outcomes), float64
        """
        outputs = self._outputs(X)
        return self._scaling.to_numbers(outputs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
