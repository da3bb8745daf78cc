"""Scores of predicted risks, which several benchmarks report."""

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from sklearn_ehr.inspection import calibration_slope


def measure(y, risk):
    """Scores of predicted risks, and whether these are calibrated.

    The calibration slope is 1 where log-odds are neither too wide nor too narrow. The mean risk
    over the base rate is 1 where the risks are right on average.
    """
    return {
        "ROC AUC": roc_auc_score(y, risk),
        "average precision": average_precision_score(y, risk),
        "Brier score": brier_score_loss(y, risk),
        "calibration slope": calibration_slope(y, risk).slope,
        "mean risk / base rate": np.mean(risk) / np.mean(y),
    }
