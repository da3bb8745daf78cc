"""Net benefit of predicted risks, and their calibration."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ..utils import check_sample_weight, log_odds_of

_LARGEST_SHIFT = 100


class CalibrationSlope(NamedTuple):
    """Calibration slope of predicted risks, and their calibration-in-the-large."""

    slope: float
    intercept: float


def calibration_slope(y_true, y_prob):
    """Compute the calibration slope and the calibration-in-the-large of predicted risks.

    The slope [1]_ is that of a logistic regression, without penalty, of the outcomes on the
    log-odds of the risks. It is 1 for calibrated risks, and below 1 if risks are too extreme, as
    after overfitting. The intercept is that of the same regression with the slope fixed to 1. It is
    0 for calibrated risks, and below 0 if risks are too high on average. [2]_ calls both "weak
    calibration".

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Outcomes: 0 or 1, or booleans. Pass ``y == "yes"`` for other labels.
    y_prob : array-like of shape (n_samples,)
        Predicted risk of each sample. Risks below 1e-6 or above 1 - 1e-6 are read as these.

    Returns
    -------
    CalibrationSlope
        Named tuple of `slope` and `intercept`. The slope is infinite if the risks separate the
        outcomes perfectly, and NaN if all risks are the same.

    Raises
    ------
    ValueError
        If lengths differ, outcomes are not 0 and 1, all outcomes are the same, or a risk is null or
        outside [0, 1].

    See Also
    --------
    CalibrationSlopeDisplay : Draws both, with a smooth calibration curve.
    sklearn.metrics.brier_score_loss : One number for calibration and discrimination.

    References
    ----------
    .. [1] D. R. Cox, "Two further applications of a model for binary regression", Biometrika
       45(3/4), 1958, p. 562-565.
    .. [2] B. Van Calster et al., "A calibration hierarchy for risk models was defined: from utopia
       to empirical data", Journal of Clinical Epidemiology 74, 2016, p. 167-176.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ehr.inspection import calibration_slope
    >>> rng = np.random.default_rng(0)
    >>> log_odds = rng.normal(-1, 1, 20000)
    >>> y = rng.random(20000) < 1 / (1 + np.exp(-log_odds))
    >>> slope, intercept = calibration_slope(y, 1 / (1 + np.exp(-2 * log_odds)))
    >>> round(slope, 1)  # the log-odds are twice as large as they should be
    0.5
    """
    y_true, y_prob = read_risks(y_true, y_prob)
    if y_true.all() or not y_true.any():
        raise ValueError(
            "All outcomes in y_true are the same, so calibration cannot be measured. Use more "
            "samples."
        )
    log_odds = log_odds_of(y_prob)

    def surplus(shift):
        return np.mean(expit(log_odds + shift) - y_true)

    intercept = brentq(surplus, -_LARGEST_SHIFT, _LARGEST_SHIFT, xtol=1e-12)
    return CalibrationSlope(_slope(y_true, log_odds), float(intercept))


def _slope(y_true, log_odds):
    spread = log_odds.std()
    positive, negative = log_odds[y_true], log_odds[~y_true]
    if np.ptp(log_odds) == 0:
        return np.nan
    if positive.min() >= negative.max():
        return np.inf
    if positive.max() <= negative.min():
        return -np.inf
    scaled = (log_odds - log_odds.mean()) / spread
    line = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    return float(line.fit(scaled[:, np.newaxis], y_true).coef_[0, 0] / spread)


def net_benefit(y_true, y_prob, thresholds, sample_weight=None):
    """Compute the net benefit of treating patients whose risk reaches a threshold.

    At a threshold `t`, it is [1]_ ``TP / n - FP / n * t / (1 - t)``: the true positives, minus the
    false positives in units of a true positive, per sample. Treating at a risk of 10 % means
    that nine unnecessary treatments count as much as one missed outcome.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Outcomes: 0 or 1, or booleans. Pass ``y == "yes"`` for other labels.
    y_prob : array-like of shape (n_samples,)
        Predicted risk of each sample. Calibrate it first: thresholds are taken for probabilities.
    thresholds : float or array-like
        Thresholds of the risk, at least 0 and below 1. A sample is treated if its risk is at or
        above the threshold.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    float or ndarray
        Net benefit at each threshold. Treating all has that of ``y_prob=numpy.ones(n)``; treating
        none has a net benefit of 0.

    Raises
    ------
    ValueError
        If lengths differ, outcomes are not 0 and 1, a risk is null or outside [0, 1], a threshold
        is outside [0, 1), or weights are negative or all 0.

    See Also
    --------
    DecisionCurveDisplay : Draws the net benefit over thresholds.

    References
    ----------
    .. [1] A. J. Vickers and E. B. Elkin, "Decision curve analysis: a novel method for evaluating
       prediction models", Medical Decision Making 26(6), 2006, p. 565-574.

    Examples
    --------
    >>> from sklearn_ehr.inspection import net_benefit
    >>> net_benefit([0, 0, 0, 1], [0.1, 0.2, 0.6, 0.7], [0, 0.5])
    array([0.25, 0.  ])
    """
    y_true, y_prob = read_risks(y_true, y_prob)
    at = np.asarray(thresholds, dtype=np.float64)
    if not ((at >= 0) & (at < 1)).all():
        raise ValueError("thresholds must be at least 0 and below 1; 10 % is 0.1.")
    weight = check_sample_weight(sample_weight, y_prob, ensure_non_negative=True)
    if not weight.sum() > 0:
        raise ValueError("sample_weight is 0 for all samples. Give some of them a weight.")
    order = np.argsort(y_prob)
    first = np.searchsorted(y_prob[order], at)
    true, false = (
        _sum_from(first, (weight * is_one)[order]) / weight.sum() for is_one in (y_true, ~y_true)
    )
    return (true - false * at / (1 - at))[()]


def _sum_from(first, values):
    """Sum of the values from each position on."""
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)[first]


def read_risks(y_true, y_prob):
    """Outcomes as booleans, and risks as floats, checked."""
    y_true, y_prob = np.asarray(y_true), _read_risk(y_prob)
    if y_true.shape != y_prob.shape:
        raise ValueError(
            f"y_true must have one outcome per risk, shape {y_prob.shape}, got shape "
            f"{y_true.shape}."
        )
    if pd.isna(y_true).any():
        raise ValueError("y_true has null outcomes. Leave out samples whose outcome is unknown.")
    is_one = np.asarray(y_true == 1, dtype=bool)
    if not (is_one | np.asarray(y_true == 0, dtype=bool)).all():
        raise ValueError(
            f"y_true must hold 0 and 1, or booleans, got other values, of dtype {y_true.dtype}. "
            f"Compare labels with the one whose risk is given: y == label."
        )
    return is_one, y_prob


def _read_risk(y_prob):
    try:
        y_prob = np.asarray(y_prob, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("y_prob must hold numbers, one risk per sample.") from None
    if y_prob.ndim != 1 or not len(y_prob):
        raise ValueError(
            f"y_prob must have the shape (n_samples,), with one sample at least, got shape "
            f"{y_prob.shape}. Of the columns of predict_proba, choose one: [:, 1]."
        )
    if not ((y_prob >= 0) & (y_prob <= 1)).all():
        raise ValueError("y_prob must hold probabilities between 0 and 1, without nulls.")
    return y_prob
