"""Calibration slope and calibration in the large, in draws of patients."""

import numpy as np
from scipy.special import logit
from sklearn.utils import gen_batches

from ._patient_sums import PatientSums

# Risks of exactly 0 or 1 have no finite log-odds; the same bound as in calibration_slope.
_SMALLEST_RISK = 1e-6
_MOST_STEPS = 25
# Newton's method squares its error: what is left after so small a step is far smaller.
_SMALL_STEP = 1e-4
# Numbers at once, so that they fit into the processor's cache.
_CHUNK = 50_000


class CalibrationLines:
    """Logistic regressions of outcomes on the log-odds of predicted risks, for draws of patients.

    They are fitted by Newton's method, from the regression on all samples. There, the first step of
    each draw takes sums over patients alone.

    Parameters
    ----------
    predicted : Predicted
    n_patients : int
    has_slope : bool
        Whether the slope is fitted too. Otherwise it is 1.
    """

    def __init__(self, predicted, n_patients, has_slope):
        self.has_slope = has_slope
        log_odds = logit(np.clip(predicted.risk, _SMALLEST_RISK, 1 - _SMALLEST_RISK))
        self.powers = np.column_stack([np.ones_like(log_odds), log_odds, log_odds**2])
        events = predicted.is_event[:, np.newaxis] * self.powers[:, :2]
        ones = np.ones((1, len(log_odds)))
        self.start = self._fit(np.array([[0.0], [1.0]]), ones, events.sum(axis=0)[:, np.newaxis])
        risk = self._risk(self.start).T
        columns = [events, risk * self.powers[:, :2], risk * (1 - risk) * self.powers]
        self.sums = PatientSums(predicted.patient, n_patients, np.column_stack(columns).T)

    def __call__(self, counts, weight):
        """Intercept and slope of each draw, NaN where there are none, of shape (2, n_draws).

        `weight` has how often each sample is drawn, of shape (n_draws, n_samples).
        """
        sums = self.sums(counts)
        line = self.start + self._step(sums[:2] - sums[2:4], sums[4:])
        size = max(_CHUNK // weight.shape[1], 1)
        parts = [
            self._fit(line[:, part], weight[part], sums[:2, part])
            for part in gen_batches(len(counts), size)
        ]
        return np.concatenate(parts, axis=1)

    def _fit(self, line, weight, of_events):
        """Fit by Newton's method, from the line of each row of weights."""
        for _ in range(_MOST_STEPS):
            risk = self._risk(line)
            drawn = weight * risk
            gradient = of_events - (drawn @ self.powers[:, :2]).T
            drawn -= drawn * risk
            step = self._step(gradient, (drawn @ self.powers).T)
            line = line + step
            size = np.abs(step).max(axis=0)
            if not (size > _SMALL_STEP).any():
                break
        # Outcomes that the risks separate have no finite answer.
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
