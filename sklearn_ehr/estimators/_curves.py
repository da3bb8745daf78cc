"""Curves of survival, hazard and incidence over time."""

from importlib.util import find_spec

import numpy as np

from .targets import as_floats


def log_survival(log_hazards):
    """Logarithm of the probability of no event by the end of each interval.

    `log_hazards` has shape (n_samples, n_times, 1 + n_events), with no event first.
    """
    return log_hazards[:, :, 0].cumsum(axis=1)


def cumulative_incidence(log_hazards):
    """Probability of each event by the end of each interval, (n_samples, n_events, n_times)."""
    survival = log_survival(log_hazards)
    before = np.column_stack([np.zeros(len(survival)), survival[:, :-1]])
    happened = np.exp(before[:, :, None] + log_hazards[:, :, 1:])
    return happened.cumsum(axis=1).transpose(0, 2, 1)


def given_survival_to(after, log_curves, ends):
    """Log-survival curves given survival to the time `after` of each sample.

    Differences of logarithms are defined even where the probability to survive so far is 0.
    """
    from_start = np.column_stack([np.zeros(len(log_curves)), log_curves])
    n_ended = np.searchsorted(ends, after, side="right")
    so_far = from_start[np.arange(len(log_curves)), n_ended]
    return np.minimum(log_curves - so_far[:, None], 0)


def read_conditional_after(conditional_after, n_samples, max_time):
    """Time up to which each sample is known to have survived, ndarray of shape (n_samples,).

    One time stands for all samples. Raises for another number of times, and for negative or
    non-finite ones or those beyond `max_time`.
    """
    after = as_floats(conditional_after, "conditional_after")
    if after.shape not in ((), (n_samples,)):
        raise ValueError(
            f"conditional_after must be one time, or one for each of the {n_samples} samples of "
            f"X; got an array of shape {after.shape}."
        )
    if n_bad := np.count_nonzero(~np.isfinite(after) | (after < 0)):
        raise ValueError(
            f"conditional_after has {n_bad} time(s) that are negative, NaN or infinite. Give the "
            f"time from the prediction to when a sample is known to have had no event."
        )
    if n_beyond := np.count_nonzero(after > max_time):
        raise ValueError(
            f"conditional_after has {n_beyond} time(s) beyond {max_time:g}, where the follow-up of "
            f"the training samples ends. Survival beyond that is unknown; give "
            f"earlier times, in the unit of the times in fit."
        )
    return np.broadcast_to(after, n_samples)


def as_curves(values, ends, start, max_time, return_array):
    """Values at the ends of intervals as they are, or as step functions of scikit-survival.

    Step functions begin with `start` at time 0, and are flat from the last end to `max_time`. By
    default, they are returned where scikit-survival is installed.
    """
    if find_spec("sksurv") is None if return_array is None else return_array:
        return values
    StepFunction = import_survival("return_array=False").functions.StepFunction
    times = ends
    if ends[0] > 0:
        times = np.append(0.0, times)
        values = np.column_stack([np.full(len(values), start), values])
    if max_time > ends[-1]:
        times = np.append(times, max_time)
        values = np.column_stack([values, values[:, -1]])
    return np.array([StepFunction(times, row) for row in values], dtype=object)


def import_survival(what):
    """scikit-survival, or an error that names the extra that installs it."""
    try:
        import sksurv.functions
        import sksurv.metrics
    except ImportError as error:
        raise ImportError(
            f"{what} needs scikit-survival, which is not installed: pip install "
            f"sklearn_ehr[survival]."
        ) from error
    return sksurv
