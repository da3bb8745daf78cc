"""Figures of predicted risks in draws of patients."""

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from ..comparison import N_DRAWS_OF_BLOCK, draw_patients, score_areas
from ._calibration_lines import CalibrationLines
from ._patient_sums import PatientSums

_AREAS = ("roc_auc", "average_precision")


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


class RedrawnFigures:
    """The figures of `estimate` for draws of patients, all draws of a block at once."""

    def __init__(self, predicted, thresholds, n_patients):
        self.predicted = predicted
        is_event, risk = predicted.is_event, predicted.risk
        self.odds = (np.array(thresholds) / (1 - np.array(thresholds)))[:, np.newaxis]
        treated = [risk >= threshold for threshold in thresholds]
        columns = [np.ones(len(risk)), is_event, (risk - is_event) ** 2]
        columns += [is_treated & is_event for is_treated in treated]
        columns += [is_treated & ~is_event for is_treated in treated]
        self.sums = PatientSums(predicted.patient, n_patients, columns)
        self.slope = CalibrationLines(predicted, n_patients, has_slope=True)
        self.shift = CalibrationLines(predicted, n_patients, has_slope=False)

    def __call__(self, counts):
        """Figures of each draw, NaN where undefined, of shape (n_figures, n_draws)."""
        predicted = self.predicted
        areas = score_areas(_AREAS, predicted.is_event, predicted.risk, predicted.patient, counts)
        weight = counts[:, predicted.patient].astype(np.float64)
        slope, shift = self.slope(counts, weight), self.shift(counts, weight)
        n, n_events, errors, *treated = self.sums(counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            brier, share = errors / n, n_events / n
            scaled = 1 - brier / (share * (1 - share))
            true, false = np.reshape(treated, (2, -1, len(counts)))
            benefits = (true - false * self.odds) / n
        return np.vstack([areas, slope, shift, brier, scaled, benefits])
