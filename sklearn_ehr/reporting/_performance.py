"""Performance of predicted risks, with intervals over draws of test patients."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from ..inspection import calibration_slope, net_benefit
from ..utils import MIN_PATIENTS
from ._draws import interval
from ._small_cells import count_distinct

METRICS = (
    "roc_auc",
    "average_precision",
    "calibration_slope",
    "calibration_in_the_large",
    "brier_score",
    "scaled_brier_score",
)


@dataclass(frozen=True)
class Predicted:
    """Outcomes and predicted risks of samples, and the patient of each, as an integer."""

    is_event: np.ndarray
    risk: np.ndarray
    patient: np.ndarray

    def __getitem__(self, rows):
        return Predicted(self.is_event[rows], self.risk[rows], self.patient[rows])

    def n_patients_with(self, is_event):
        """Number of patients with a sample with the outcome, or with one without it."""
        return count_distinct(self.patient[self.is_event == is_event])


def estimate(predicted, thresholds):
    """Metrics, in the order of `METRICS`, then the net benefit at each threshold."""
    is_event, risk = predicted.is_event, predicted.risk
    slope, intercept = calibration_slope(is_event, risk)
    brier, share = brier_score_loss(is_event, risk), is_event.mean()
    return np.array(
        [
            roc_auc_score(is_event, risk),
            average_precision_score(is_event, risk),
            slope,
            intercept,
            brier,
            1 - brier / (share * (1 - share)),
            *net_benefit(is_event, risk, thresholds),
        ]
    )


def with_interval(estimates, draws, index):
    """Frame of estimates and their intervals."""
    low, high = interval(draws)
    return pd.DataFrame({"estimate": estimates, "low": low, "high": high}, index=index)


def is_told(predicted, thresholds):
    """Whether the net benefit at each threshold tells of no few patients.

    Together with the number of outcomes, it tells how many samples are treated or not, with and
    without the outcome: each must be of no patient, or of 10.
    """
    return np.array([_is_told(predicted, threshold) for threshold in thresholds], dtype=bool)


def _is_told(predicted, threshold):
    is_treated = predicted.risk >= threshold
    cells = [
        part.n_patients_with(is_event)
        for part in (predicted[is_treated], predicted[~is_treated])
        for is_event in (True, False)
    ]
    return all(n == 0 or n >= MIN_PATIENTS for n in cells)
