"""Survival model of patient histories with censored outcomes."""

from numbers import Integral

import numpy as np
import torch

from ..nn import DiscreteHazardLoss
from ..utils import Interval, fit_context
from ._base import BaseVisitLSTM
from ._curves import (
    as_curves,
    cumulative_incidence,
    given_survival_to,
    import_survival,
    log_survival,
    read_conditional_after,
)
from ._inputs import as_sequences
from ._net import VisitNet
from .targets import (
    check_weight,
    common_log_odds,
    cut_time,
    end_of_follow_up,
    place_in_intervals,
    read_survival,
    warn_if_new_events,
    warn_if_none_censored,
)


class LSTMVisitSurvival(BaseVisitLSTM):
    """Predict the time to an event, or to competing events, from histories of visits.

    The network is that of `LSTMVisitClassifier`. Its outputs are discrete-time hazards [1]_, [2]_:
    the probability of the event in each interval of time, for patients still at risk. Censored
    patients count for as long as they are at risk. With competing events, such as readmission and
    death, each kind of event has its own hazard, and a patient who has had one event is no longer
    at risk of the others.

    Parameters
    ----------
    n_intervals : int, default=10
        Maximum number of intervals, which end at quantiles of the event times of the training
        samples. With many intervals and few samples, the validation loss may be lowest before
        anything is learnt (see `history_`); fewer intervals, or a larger `n_iter_no_change`, help.
    embedding_dim, embedding_init, hidden_dim, num_layers, aggregation, mlp_dim, bidirectional, \
time_gaps, dropout, lr, weight_decay, batch_size, max_epochs
        As in `LSTMVisitClassifier`.
    early_stopping, average, refit
        As in `LSTMVisitClassifier`. The validation split is stratified by event.
    scoring : callable, default=None
        Metric used to select the best epoch, with the signature ``scoring(estimator, X, y)``. By
        default, the validation loss.
    validation_fraction, n_iter_no_change, device, callbacks, checkpoint, random_state, verbose
        As in `LSTMVisitClassifier`.

    Attributes
    ----------
    unique_times_ : ndarray of shape (n_times,)
        Ends of the intervals, in the unit of `y`; the last one is the time of the last event.
    max_time_ : float
        End of follow-up: the longest time of the training samples, rounded up to two digits. Step
        functions are flat from the last event to this time.
    event_types_ : ndarray of shape (n_events,)
        Kinds of events in `y`, ascending, without 0 for censored.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    vocabulary_, feature_names_, embedding_coverage_, history_
        As in `LSTMVisitClassifier`. Losses are negative log-likelihoods per sample.

    See Also
    --------
    LSTMVisitClassifier : Predicts whether an event happens within one horizon.
    make_samples : Draws samples with an event and a duration from a table of events.

    Notes
    -----
    Methods are named as in scikit-survival [3]_. Its metrics and scorers accept this estimator if
    the event is boolean.

    `make_samples` returns `y` as columns. Pass it ``incomplete="mark"`` to keep samples that are
    censored before the horizon, then take the outcome and competing events, or the outcome alone::

        y = samples[["event", "duration"]].to_records(index=False)
        y = sksurv.util.Surv.from_arrays(samples["event"] == 1, samples["duration"])

    The fitted model holds the ends of the intervals: where events are few, these are the event
    times of single patients, and the last one always is.

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

    Survival of patients who have had no event in the first 30 days:

    >>> curves = model[1].predict_survival_function(
    ...     sequences, return_array=True, conditional_after=30
    ... )
    >>> bool((curves[:, model[1].unique_times_ <= 30] == 1).all())
    True
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
        self.n_intervals = n_intervals
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
        y : structured array of shape (n_samples,)
            Two fields, the event first, then the time, as ``sksurv.util.Surv.from_arrays`` returns
            them. The event is a boolean, or an integer that is 0 if censored and 1, 2, ... for
            competing events. The time runs from the prediction to the event, or to the end of
            follow-up, in any unit.
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
            If `y` is not such an array, has no event, has negative or infinite times, or has more
            different events than times, as if swapped; if weights are negative or all 0; or if the
            folder of `checkpoint` is in use.
        OSError
            If `checkpoint` cannot be written, or its disk has too little space.

        Warns
        -----
        UserWarning
            If there are competing events and no sample is censored, as in R's coding from 1 on.
        """
        X = as_sequences(X)
        event, time = read_survival(X, y, type(self).__name__)
        weight = check_weight(sample_weight, X)
        used = weight > 0
        warn_if_none_censored(y, event[used])
        ends = cut_time(event[used], time[used], self.n_intervals)
        event_types = np.unique(event[used & (event > 0)])

        def encode(X, y, event, time, weight):
            # Events of no known kind count as censored.
            known = np.append(0, event_types)
            cause = np.where(np.isin(event, known), np.searchsorted(known, event), 0)
            return self._samples(X, y, place_in_intervals(cause, time, ends), weight, cause)

        def encode_validation(X_val):
            event, time = read_survival(X_val, y_val, type(self).__name__)
            warn_if_new_events(y_val, event, event_types)
            return encode(X_val, y_val, event, time, np.ones(len(X_val)))

        samples = encode(X, y, event, time, weight)
        target = samples.weighted().data.target
        offset = common_log_odds(target, weight[used] / weight[used].mean(), len(event_types))
        validation = self._read_validation(X, X_val, y_val, encode_validation)
        self._train(
            samples,
            validation,
            {
                "unique_times_": ends,
                "max_time_": end_of_follow_up(time[used]),
                "event_types_": event_types,
            },
            net=VisitNet,
            criterion=DiscreteHazardLoss,
            output_dim=offset.size,
            offset=offset,
        )
        return self

    def predict(self, X):
        """Predict risk scores: the higher the score, the sooner the event is expected.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_events), float64
            The sum of the cumulative hazard over `unique_times_`. With competing events, the sum of
            the cumulative incidence of each event.
        """
        log_hazards = self._log_hazards(X)
        if len(self.event_types_) > 1:
            return cumulative_incidence(log_hazards).sum(axis=2)
        return -log_survival(log_hazards).sum(axis=1)

    def predict_survival_function(self, X, return_array=None, *, conditional_after=None):
        """Predict the probability that no event has happened by each time.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        return_array : bool, default=None
            Whether to return an array of probabilities at `unique_times_`, rather than step
            functions from 0 to `max_time_`. By default, return step functions where scikit-survival
            is installed, as its scorers expect.
        conditional_after : float or array-like of shape (n_samples,), default=None
            Time since the prediction for which each sample is already known to be event-free.
            Probabilities are then conditional on it: 1 up to that time `t0`, and ``S(t) / S(t0)``
            after it.

        Returns
        -------
        ndarray of shape (n_samples, n_times), or (n_samples,) of StepFunction

        Raises
        ------
        ImportError
            If ``return_array=False`` and scikit-survival is not installed.
        ValueError
            If `conditional_after` has negative or NaN times, times beyond `max_time_`, or not one
            for each sample.
        """
        curves = log_survival(self._log_hazards(X))
        if conditional_after is not None:
            after = read_conditional_after(conditional_after, len(curves), self.max_time_)
            curves = given_survival_to(after, curves, self.unique_times_)
        return self._curves(np.exp(curves), 1.0, return_array)

    def predict_cumulative_hazard_function(self, X, return_array=None):
        """Predict the cumulative hazard of any event: minus the logarithm of survival.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        return_array : bool, default=None
            As in `predict_survival_function`.

        Returns
        -------
        ndarray of shape (n_samples, n_times), or (n_samples,) of StepFunction
        """
        return self._curves(-log_survival(self._log_hazards(X)), 0.0, return_array)

    def predict_cumulative_incidence(self, X):
        """Predict the probability that each event has happened by each of `unique_times_`.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)

        Returns
        -------
        ndarray of shape (n_samples, n_events, n_times)
            Events are in the order of `event_types_`. Together with the survival function, they
            add up to 1.
        """
        return cumulative_incidence(self._log_hazards(X))

    def score(self, X, y):
        """Return Harrell's concordance index of the risk scores, computed by scikit-survival.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        y : structured array of shape (n_samples,)
            As in `fit`. With competing events, the index is that of the first of `event_types_`,
            and the others count as censored.

        Returns
        -------
        float

        Raises
        ------
        ImportError
            If scikit-survival is not installed.

        Warns
        -----
        UserWarning
            If `y` has events that `fit` did not have. They count as censored.
        """
        risk = self.predict(X)
        event, time = read_survival(X, y, type(self).__name__)
        warn_if_new_events(y, event, self.event_types_)
        concordance_index = import_survival("score").metrics.concordance_index_censored
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
        return as_curves(values, self.unique_times_, start, self.max_time_, return_array)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
