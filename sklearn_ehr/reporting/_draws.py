"""Figures of predicted risks in draws of patients."""

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.utils import gen_batches

from ..comparison import N_DRAWS_OF_BLOCK, draw_patients, score_areas

_AREAS = ("roc_auc", "average_precision")
# Risks of exactly 0 or 1 have no finite log-odds; the same bound as in calibration_slope.
_SMALLEST_RISK = 1e-6
_MOST_STEPS = 25


def redraw(scorers, n_patients, n_draws, random_state):
    """What each scorer gives for draws of patients with replacement, list of arrays.

    Each array has the shape (n_figures, n_draws).
    """
    rng = np.random.default_rng(random_state)
    blocks = []
    for block in gen_batches(n_draws, N_DRAWS_OF_BLOCK):
        counts = draw_patients(rng, n_patients, block.stop - block.start)
        blocks.append([scorer(counts) for scorer in scorers])
    return [np.concatenate(of_scorer, axis=1) for of_scorer in zip(*blocks, strict=True)]


def interval(draws):
    """The 95 % percentile interval of each figure, of shape (2, n_figures)."""
    return pd.DataFrame(draws.T).quantile([0.025, 0.975]).to_numpy()


class PatientSums:
    """Sums over the samples of drawn patients.

    Parameters
    ----------
    patient : ndarray of shape (n_samples,)
    n_patients : int
    columns : list of ndarray of shape (n_samples,)
        What is summed.
    """

    def __init__(self, patient, n_patients, columns):
        sums = [np.bincount(patient, column, n_patients) for column in columns]
        self.by_patient = np.column_stack(sums)

    def __call__(self, counts):
        """Sums of each column, for each draw, of shape (n_columns, n_draws)."""
        return (counts.astype(np.float64) @ self.by_patient).T


class RedrawnFigures:
    """The figures of `estimate` for draws of patients, all draws of a block at once."""

    def __init__(self, predicted, thresholds, n_patients):
        self.predicted = predicted
        is_event, risk = predicted.is_event, predicted.risk
        self.odds = (np.array(thresholds) / (1 - np.array(thresholds)))[:, np.newaxis]
        treated = [risk >= threshold for threshold in thresholds]
        self.sums = PatientSums(
            predicted.patient,
            n_patients,
            [np.ones(len(risk)), is_event, (risk - is_event) ** 2]
            + [is_treated & is_event for is_treated in treated]
            + [is_treated & ~is_event for is_treated in treated],
        )
        self.log_odds = logit(np.clip(risk, _SMALLEST_RISK, 1 - _SMALLEST_RISK))
        ones, both = np.ones((1, len(risk))), (True, True)
        self.line = _fit_lines(is_event, self.log_odds, ones, np.array([[0.0], [1.0]]), both)
        self.shift = _fit_lines(
            is_event, self.log_odds, ones, np.array([[0.0], [1.0]]), (True, False)
        )

    def __call__(self, counts):
        """Figures of each draw, NaN where undefined, of shape (n_figures, n_draws)."""
        predicted, n_draws = self.predicted, len(counts)
        areas = score_areas(_AREAS, predicted.is_event, predicted.risk, predicted.patient, counts)
        weight = counts[:, predicted.patient].astype(np.float64)
        lines = [
            _fit_lines(predicted.is_event, self.log_odds, weight, start.repeat(n_draws, 1), free)
            for start, free in ((self.line, (True, True)), (self.shift, (True, False)))
        ]
        n, n_events, errors, *treated = self.sums(counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            brier, share = errors / n, n_events / n
            scaled = 1 - brier / (share * (1 - share))
            true, false = np.array(treated).reshape(2, -1, n_draws)
            benefits = (true - false * self.odds) / n
        return np.vstack([areas, lines[0][1], lines[1][0], brier, scaled, benefits])


def _fit_lines(is_event, log_odds, weight, line, is_free):
    """Logistic regressions on log-odds, one per row of weights, by Newton's method.

    `line` has the intercepts and slopes to start from, of shape (2, n_draws); `is_free` says which
    of them are fitted. NaN where there is no finite answer.
    """
    line = line.copy()
    for _ in range(_MOST_STEPS):
        # Weights of one outcome alone have no finite answer, and end in NaN.
        with np.errstate(all="ignore"):
            step = _newton_step(is_event, log_odds, weight, line, is_free)
            line += step
        size = np.abs(step).max(axis=0)
        if not (size > 1e-9).any():
            break
    line[:, ~(size < 1e-6)] = np.nan
    return line


def _newton_step(is_event, log_odds, weight, line, is_free):
    risk = 1 / (1 + np.exp(-line[0][:, np.newaxis] - line[1][:, np.newaxis] * log_odds))
    residual, spread = weight * (is_event - risk), weight * risk * (1 - risk)
    gradient = residual.sum(axis=1), residual @ log_odds
    a = spread.sum(axis=1)
    if not all(is_free):
        return np.array([gradient[0] / a, np.zeros_like(a)])
    b, c = spread @ log_odds, spread @ log_odds**2
    step = [c * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]
    return np.array(step) / (a * c - b**2)
