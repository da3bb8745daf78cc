"""Survival outcomes in intervals of time."""

import warnings

import numpy as np
from sklearn.utils.validation import check_consistent_length

from ._weights import require_y


def read_survival(X, y, estimator):
    """Events (int64, 0 where censored) and times (float64) of a structured array.

    Fields that look swapped, negative events, and times that are negative or not finite are
    refused.
    """
    require_y(y, estimator)
    check_consistent_length(X, y)
    _check_fields(y, estimator)
    event_name, time_name = y.dtype.names
    event, time = y[event_name].astype(np.int64), y[time_name].astype(np.float64)
    if n_bad := np.count_nonzero(~np.isfinite(time) | (time < 0)):
        raise ValueError(
            f"Field {time_name!r} of y has {n_bad} time(s) that are negative, NaN or infinite. A "
            f"time runs from the prediction to the event, or to the end of follow-up."
        )
    if n_bad := np.count_nonzero(event < 0):
        raise ValueError(
            f"Field {event_name!r} of y has {n_bad} negative event(s). Events are 0 if censored, "
            f"and count from 1."
        )
    n_events, n_times = len(np.unique(event)), len(np.unique(time))
    if n_events > max(2, n_times):
        raise ValueError(
            f"The fields of y look swapped: the event comes first, then the time, but "
            f"{event_name!r} has {n_events} different values and {time_name!r} has {n_times}. If "
            f"their order is right, give times in a finer unit, or a boolean event."
        )
    return event, time


def _check_fields(y, estimator):
    """Raise unless `y` has one dimension, and an event and a time as fields."""
    dtype = getattr(y, "dtype", None)
    fields = getattr(dtype, "names", None) or ()
    if fields and y.ndim != 1:
        raise ValueError(
            f"y must have one dimension, with an event and a time for each sample; got shape "
            f"{y.shape}."
        )
    kinds = [dtype[name].kind for name in fields]
    if len(kinds) == 2 and kinds[0] in "biu" and kinds[1] in "iuf":
        return
    got = ", ".join(f"{name!r} ({dtype[name]})" for name in fields)
    got = f"the fields {got}" if fields else f"a {type(y).__name__}"
    raise ValueError(
        f"{estimator} needs y as a structured array of two fields: first the event (boolean, or "
        f"an integer that is 0 if censored and 1, 2, ... for competing events), then the time (a "
        f"number). Got {got}. Make one with "
        f"frame[[event, time]].to_records(index=False), after .astype({{event: int}}) if events "
        f"are floats, or with sksurv.util.Surv.from_arrays(event, time)."
    )


def warn_if_none_censored(y, event):
    """Warn of competing events without censoring, which R's 1 (censored) and 2 look like."""
    n_types = len(np.unique(event))
    if n_types > 1 and event.all():
        name = y.dtype.names[0]
        warnings.warn(
            f"Field {name!r} of y is never 0, so no sample is censored, and its {n_types} values "
            f"are taken for competing events. If 1 means censored and 2 the event, as in R, give "
            f"y[{name!r}] == 2 as the event.",
            UserWarning,
            stacklevel=4,
        )


def warn_if_new_events(y, event, event_types):
    """Warn of events that were not in fit, such as R's 2 after booleans."""
    if n_new := np.count_nonzero(~np.isin(event, np.append(0, event_types))):
        warnings.warn(
            f"Field {y.dtype.names[0]!r} of y has {n_new} event(s) that are not among the "
            f"event_types_ of fit; they count as censored. Code events as in fit, with 0 for "
            f"censored.",
            UserWarning,
            stacklevel=3,
        )


def end_of_follow_up(time):
    """Longest time, rounded up to two digits so as not to keep that of one patient."""
    longest = float(time.max())
    if longest == 0:
        return longest
    unit = 10.0 ** (np.floor(np.log10(longest)) - 1)
    return max(longest, float(np.ceil(longest / unit) * unit))


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

    Who is censored (`cause` is 0) was at risk in an interval that was at least half over. The
    result has shape (n_samples, n_intervals).
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
