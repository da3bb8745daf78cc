"""Survival model of patient histories with censored outcomes."""

from importlib.util import find_spec
from numbers import Integral

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from ..nn import DiscreteHazardLoss
from ._base import BaseVisitLSTM
from ._inputs import as_sequences
from ._net import VisitNet
from .targets import (
    check_weight,
    common_log_odds,
    cut_time,
    place_in_intervals,
    read_survival,
)


class LSTMVisitSurvival(BaseVisitLSTM):
    """Predict times to an event, or to competing events, from histories of visits.

    The network of `LSTMVisitClassifier` with discrete-time hazards as outputs [1]_, [2]_: the
    probability of the event in each interval of time for who is still at risk. Who is censored
    counts while at risk. With competing events (death before readmission) each has a hazard of its
    own, and who had one is no longer at risk of the others.

    Parameters
    ----------
    n_intervals : int, default=10
        Number of intervals, at most: they end at quantiles of the training samples' event times.
        With many intervals and few samples the loss of the validation split may be lowest before
        anything was learnt (`history_` shows it); fewer intervals, or a larger
        `n_iter_no_change`, help.
    embedding_dim, embedding_init, hidden_dim, num_layers, aggregation, mlp_dim, bidirectional, \
time_gaps, dropout, lr, weight_decay, batch_size, max_epochs
        As in `LSTMVisitClassifier`.
    early_stopping, average, refit, validation_fraction, n_iter_no_change
        As in `LSTMVisitClassifier`. The validation split is stratified by event.
    scoring : callable, default=None
        Metric used to select the best epoch, with the signature ``scoring(estimator, X, y)``. By
        default, the validation loss.
    device, callbacks, random_state, verbose
        As in `LSTMVisitClassifier`.

    Attributes
    ----------
    unique_times_ : ndarray of shape (n_times,)
        Ends of the intervals, in the unit of `y`.
    event_types_ : ndarray of shape (n_events,)
        The events of `y`, ascending, without 0 for censored.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    vocabulary_ : Vocabulary or None
        The vocabulary of the sequences it was fitted with.
    embedding_coverage_ : float
        Share of the codes that `embedding_init` gave a vector; 0 without it.
    history_ : DataFrame
        Losses (negative log-likelihood a sample) and duration (seconds) of each epoch.

    See Also
    --------
    LSTMVisitClassifier : For whether an event happens within one horizon.

    Notes
    -----
    Methods are named as scikit-survival's [3]_, whose metrics take what they return.

    References
    ----------
    .. [1] J. D. Singer and J. B. Willett, "It's about time: using discrete-time survival analysis
       to study duration and the timing of events", Journal of Educational Statistics 18(2), 1993,
       p. 155-195.
    .. [2] M. F. Gensheimer and B. Narasimhan, "A scalable discrete-time survival model for neural
       networks", PeerJ 7:e6257, 2019.
    .. [3] S. Poelsterl, "scikit-survival: a library for time-to-event analysis built on top of
       scikit-learn", Journal of Machine Learning Research 21(212), 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitSurvival, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, _ = make_visits(200, random_state=0)
    >>> days = np.random.default_rng(0).exponential(30 / X.samples["risk"])
    >>> y = np.rec.fromarrays([days < 90, np.minimum(days, 90)], names=["event", "time"])
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(),
    ...     LSTMVisitSurvival(n_intervals=6, max_epochs=2, random_state=0),
    ... )
    >>> model.fit(X[:150], y[:150]).predict(X[150:]).shape
    (50,)
    >>> sequences = model[0].transform(X[150:])
    >>> model[1].predict_survival_function(sequences, return_array=True).shape
    (50, 6)
    """

    _parameter_constraints = {
        **BaseVisitLSTM._parameter_constraints,
        "n_intervals": [Interval(Integral, 1, None, closed="left")],
        "scoring": [callable, None],
    }

    def __init__(
        self,
        *,
        n_intervals=10,
        embedding_dim=256,
        embedding_init=None,
        hidden_dim=128,
        num_layers=1,
        aggregation="mean",
        mlp_dim=0,
        bidirectional=False,
        time_gaps=False,
        dropout=0.5,
        lr=1e-3,
        weight_decay=0.3,
        batch_size=128,
        max_epochs=50,
        early_stopping=True,
        average=True,
        refit=False,
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
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            aggregation=aggregation,
            mlp_dim=mlp_dim,
            bidirectional=bidirectional,
            time_gaps=time_gaps,
            dropout=dropout,
            lr=lr,
            weight_decay=weight_decay,
            batch_size=batch_size,
            max_epochs=max_epochs,
            early_stopping=early_stopping,
            average=average,
            refit=refit,
            scoring=scoring,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            device=device,
            callbacks=callbacks,
            random_state=random_state,
            verbose=verbose,
        )
        self.n_intervals = n_intervals

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Fit the network.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
            Padded codes are integers, 0 is padding, and each sample is a patient of its own.
        y : structured array of shape (n_samples,)
            Two fields: whether the event happened, or which one as an integer from 1 on (0:
            censored), and the time until then, from the prediction on. As of
            ``sksurv.util.Surv.from_arrays``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples. A sample with weight 0 is left out.
        X_val : VisitSequences or array-like of shape (n_val, n_visits, n_codes), default=None
            Histories of a validation set, as in `LSTMVisitClassifier`.
        y_val : structured array of shape (n_val,), default=None
            Outcomes of the validation set, as in `y`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `y` is not such an array, has no event, or negative or infinite times, or weights are
            negative or all 0.
        """
        X = as_sequences(X)
        event, time = read_survival(X, y, type(self).__name__)
        weight = check_weight(sample_weight, X)
        used = weight > 0
        ends = cut_time(event[used], time[used], self.n_intervals)
        event_types = np.unique(event[used & (event > 0)])
        samples = self._encode(X, y, event_types, ends, weight)
        target = samples.weighted().data.target.numpy()
        offset = common_log_odds(target, weight[used] / weight[used].mean(), len(event_types))
        X_val = self._check_validation(X, X_val, y_val)
        validation = None
        if X_val is not None:
            validation = self._encode(X_val, y_val, event_types, ends, np.ones(len(X_val)))
        self._train(
            samples,
            validation,
            {"unique_times_": ends, "event_types_": event_types},
            net=VisitNet,
            criterion=DiscreteHazardLoss,
            output_dim=offset.size,
            offset=offset,
        )
        return self

    def _encode(self, X, y, event_types, ends, weight):
        """Samples with what happened in each interval; unknown events count as censored."""
        event, time = read_survival(X, y, type(self).__name__)
        cause = np.append(0, event_types)
        cause = np.where(np.isin(event, cause), np.searchsorted(cause, event), 0)
        return self._samples(X, y, place_in_intervals(cause, time, ends), weight, cause)

    def predict(self, X):
        """Return risk scores: the larger, the sooner an event is expected.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_events), float64
            The sum over `unique_times_` of the cumulative hazard; with competing events of the
            cumulative incidence of each.
        """
        log_hazards = self._log_hazards(X)
        if len(self.event_types_) > 1:
            return _incidence(log_hazards).sum(axis=2)
        return -_log_survival(log_hazards).sum(axis=1)

    def predict_survival_function(self, X, return_array=None):
        """Return the probability of no event until each of `unique_times_`.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        return_array : bool, default=None
            False returns scikit-survival's step functions, which begin with 1 at time 0; None does
            so where it is installed, as its scorers expect.

        Returns
        -------
        ndarray of shape (n_samples, n_times), or (n_samples,) of StepFunction

        Raises
        ------
        ImportError
            If ``return_array=False`` and scikit-survival is not installed.
        """
        survival = np.exp(_log_survival(self._log_hazards(X)))
        return self._curves(survival, 1.0, return_array)

    def predict_cumulative_hazard_function(self, X, return_array=None):
        """Return the cumulative hazard of any event, minus the logarithm of survival.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        return_array : bool, default=None
            False returns scikit-survival's step functions, which begin with 0 at time 0; None does
            so where it is installed.

        Returns
        -------
        ndarray of shape (n_samples, n_times), or (n_samples,) of StepFunction

        Raises
        ------
        ImportError
            If ``return_array=False`` and scikit-survival is not installed.
        """
        hazard = -_log_survival(self._log_hazards(X))
        return self._curves(hazard, 0.0, return_array)

    def predict_cumulative_incidence(self, X):
        """Return the probability that each event has happened by each of `unique_times_`.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples, n_events, n_times)
            In the order of `event_types_`. With the survival function they add up to 1.
        """
        return _incidence(self._log_hazards(X))

    def score(self, X, y):
        """Return Harrell's concordance index of the risk scores, with scikit-survival.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        y : structured array of shape (n_samples,)
            As in `fit`. With competing events the index is that of the first of `event_types_`, the
            others being censored.

        Returns
        -------
        float

        Raises
        ------
        ImportError
            If scikit-survival is not installed.
        """
        risk = self.predict(X)
        event, time = read_survival(X, y, type(self).__name__)
        concordance_index = _import_survival("score").metrics.concordance_index_censored
        risk = risk[:, 0] if risk.ndim == 2 else risk
        return concordance_index(event == self.event_types_[0], time, risk)[0]

    def _log_hazards(self, X):
        """Log-probability of nothing and of each event, (n_samples, n_times, 1 + n_events)."""
        outputs = torch.from_numpy(self._outputs(X)).double()
        criterion = self.net_.criterion_
        with torch.inference_mode():
            return criterion.log_hazards(outputs.to(criterion.offset.device)).cpu().numpy()

    def _curves(self, values, start, return_array):
        """Values as they are, or as step functions that begin with `start` at time 0."""
        if return_array is None:
            return_array = find_spec("sksurv") is None
        if return_array:
            return values
        StepFunction = _import_survival("return_array=False").functions.StepFunction
        times = self.unique_times_
        if times[0] > 0:
            times = np.append(0.0, times)
            values = np.column_stack([np.full(len(values), start), values])
        return np.array([StepFunction(times, row) for row in values], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _log_survival(log_hazards):
    return log_hazards[:, :, 0].cumsum(axis=1)


def _incidence(log_hazards):
    log_survival = _log_survival(log_hazards)
    before = np.column_stack([np.zeros(len(log_survival)), log_survival[:, :-1]])
    happened = np.exp(before[:, :, None] + log_hazards[:, :, 1:])
    return happened.cumsum(axis=1).transpose(0, 2, 1)


def _import_survival(what):
    try:
        import sksurv.functions
        import sksurv.metrics
    except ImportError as error:
        raise ImportError(
            f"{what} needs scikit-survival, which is not installed: pip install "
            f"sklearn_ehr[survival]."
        ) from error
    return sksurv
