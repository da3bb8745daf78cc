"""Survival outcomes in intervals of time."""

import numpy as np
from sklearn.utils.validation import check_consistent_length

from ._weights import require_y


def read_survival(X, y, estimator):
    """Events (0 where censored) and times of a structured array.

    Returns
    -------
    event : int64 ndarray of shape (n_samples,)
    time : float64 ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If `y` is missing or not structured, of another length or more dimensions, or has a negative
        event or a time that is negative or not finite.
    """
    require_y(y, estimator)
    check_consistent_length(X, y)
    fields = getattr(getattr(y, "dtype", None), "names", None) or ()
    if fields and y.ndim != 1:
        raise ValueError(f"y must have one dimension, an event and time a sample; got {y.shape}.")
    kinds = [y.dtype[name].kind for name in fields]
    if len(kinds) != 2 or kinds[0] not in "biu" or kinds[1] not in "iuf":
        raise ValueError(
            f"{estimator} needs y as a structured array of two fields, the event (boolean, or an "
            f"integer from 1 on for competing events, 0 for censored) and the time as a number; "
            f"got a {type(y).__name__} with fields of kinds {kinds}. Make one with "
            f"sksurv.util.Surv.from_arrays(event, time), numpy.rec.fromarrays([event, time]), or "
            f"frame[[event, time]].to_records(index=False)."
        )
    event, time = y[fields[0]].astype(np.int64), y[fields[1]].astype(np.float64)
    if n_other := int(np.count_nonzero(~np.isfinite(time) | (time < 0))):
        raise ValueError(
            f"Field {fields[1]!r} of y has {n_other} time(s) that are negative, NaN or infinite. A "
            f"time counts from the prediction on, to the event or the end of what is known."
        )
    if (event < 0).any():
        raise ValueError(
            f"Field {fields[0]!r} of y has {np.count_nonzero(event < 0)} negative event(s); 0 is "
            f"censored, and events count from 1."
        )
    return event, time


def cut_time(event, time, n_intervals):
    """Ends of intervals by quantiles of event times, the last event's time the last."""
    event_times = time[event > 0]
    if not event_times.size:
        raise ValueError(
            "y has no event: every sample is censored, so there is nothing to learn. Follow them "
            "for longer, or take more samples."
        )
    return np.unique(np.quantile(event_times, np.arange(1, n_intervals + 1) / n_intervals))


def place_in_intervals(cause, time, ends):
    """What happened in each interval: 0 nothing, `cause` its event, -1 no longer at risk.

    Who is censored was at risk in an interval that was at least half over.

    Parameters
    ----------
    cause : ndarray of int of shape (n_samples,)
        Number of the event, 0 where censored.
    time : ndarray of shape (n_samples,)
    ends : ndarray of shape (n_intervals,)

    Returns
    -------
    int64 ndarray of shape (n_samples, n_intervals)
    """
    middles = (np.append(0, ends[:-1]) + ends) / 2
    n_survived = np.where(
        cause > 0,
        np.searchsorted(ends, time, side="left"),
        np.searchsorted(middles, time, side="right"),
    )[:, None]
    interval = np.arange(len(ends))
    happened = np.where(interval < n_survived, 0, -1)
    return np.where((interval == n_survived) & (cause > 0)[:, None], cause[:, None], happened)


def common_log_odds(target, weight, n_causes):
    """Log-odds of each cause against none, of all samples together, (n_intervals, n_causes)."""
    happened = [weight @ (target == cause) for cause in range(n_causes + 1)]
    # Half a sample more each, as nobody may have had an event.
    return np.log(np.stack(happened[1:], axis=1) + 0.5) - np.log(happened[0] + 0.5)[:, None]
