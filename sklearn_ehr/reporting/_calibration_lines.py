"""Calibration slope and calibration in the large, in draws of patients."""

import numpy as np
from scipy.special import expit
from sklearn.utils import gen_batches

from ..inspection import calibration_slope
from ..utils import log_odds_of
from ._patient_sums import PatientSums

_MOST_STEPS = 25
# Newton's method squares its error: what is left after so small a step is far smaller.
_SMALL_STEP = 1e-4
# Numbers at once, so that they fit into the processor's cache.
_CHUNK = 50_000


class CalibrationLines:
    """Logistic regressions of outcomes on the log-odds of predicted risks, for draws of patients.

    They are fitted by Newton's method, from the regression on all samples. There, the first step of
    each draw takes sums over patients alone. The method fails for many risks near 0 and 1; these
    draws are left to `calibration_slope`, one by one.

    Parameters
    ----------
    predicted : Predicted
    n_patients : int
    has_slope : bool
        Whether the slope is fitted, too, and returned. Otherwise it is 1, and the intercept is.
    """

    def __init__(self, predicted, n_patients, has_slope):
        self.predicted, self.has_slope = predicted, has_slope
        log_odds = log_odds_of(predicted.risk)
        self.powers = np.column_stack([np.ones_like(log_odds), log_odds, log_odds**2])
        events = predicted.is_event[:, np.newaxis] * self.powers[:, :2]
        slope = calibration_slope(predicted.is_event, predicted.risk).slope if has_slope else 1.0
        # With a slope that is not finite, no draw has one either, or each is fitted alone.
        slope = slope if np.isfinite(slope) else 1.0
        shift = calibration_slope(predicted.is_event, expit(slope * log_odds)).intercept
        self.start = np.array([[shift], [slope]])
        risk = self._risk(self.start).T
        columns = [events, risk * self.powers[:, :2], risk * (1 - risk) * self.powers]
        self.sums = PatientSums(predicted.patient, n_patients, np.column_stack(columns).T)

    def __call__(self, counts, weight):
        """Slope, or intercept, of each draw, NaN where there is none, of shape (n_draws,).

        `weight` has how often each sample is drawn, of shape (n_draws, n_samples).
        """
        sums = self.sums(counts)
        line = self.start + self._step(sums[:2] - sums[2:4], sums[4:])
        size = max(_CHUNK // weight.shape[1], 1)
        parts = [
            self._fit(line[:, part], weight[part], sums[:2, part])
            for part in gen_batches(len(counts), size)
        ]
        found = np.concatenate(parts, axis=1)[int(self.has_slope)]
        for draw in np.flatnonzero(np.isnan(found)):
            found[draw] = self._fit_alone(weight[draw])
        return found

    def _fit_alone(self, weight):
        """Slope, or intercept, of one draw by `calibration_slope`."""
        rows = np.repeat(np.arange(len(weight)), weight.astype(np.int64))
        drawn = self.predicted[rows]
        if drawn.is_event.all() or not drawn.is_event.any():
            return np.nan
        slope, intercept = calibration_slope(drawn.is_event, drawn.risk)
        if not self.has_slope:
            return intercept
        # Outcomes that the risks separate have no finite slope.
        return slope if np.isfinite(slope) else np.nan

    def _fit(self, line, weight, of_events):
        """Fit by Newton's method, from the line of each row of weights."""
        for _ in range(_MOST_STEPS):
            risk = self._risk(line)
            drawn = weight * risk
            gradient = of_events - (drawn @ self.powers[:, :2]).T
            drawn -= drawn * risk
            step = self._step(gradient, (drawn @ self.powers).T)
            with np.errstate(invalid="ignore"):
                line = line + step
            size = np.abs(step).max(axis=0)
            if not (size > _SMALL_STEP).any():
                break
        return np.where(size <= _SMALL_STEP, line, np.nan)

    def _risk(self, line):
        """Risk of each sample by each line, of shape (n_lines, n_samples)."""
        with np.errstate(over="ignore", invalid="ignore"):
            odds_against = np.exp(-(line.T @ self.powers[:, :2].T))
            return 1 / (1 + odds_against)

    def _step(self, gradient, spread):
        """Newton's step of intercept and slope."""
        a, b, c = spread
        with np.errstate(all="ignore"):
            if not self.has_slope:
                return np.array([gradient[0] / a, np.zeros_like(a)])
            step = [c * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]
            return np.array(step) / (a * c - b**2)
