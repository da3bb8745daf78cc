"""Scores of predicted risks, which several benchmarks report."""

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score


def measure(y, risk):
    """Scores of predicted risks, and whether these are calibrated.

    The calibration slope is that of a logistic regression of the outcomes on the log-odds: 1 where
    these are neither too wide nor too narrow. The mean risk over the base rate is 1 where the risks
    are right on average.
    """
    log_odds = logit(np.clip(risk, 1e-6, 1 - 1e-6))
    line = LogisticRegression(C=np.inf, max_iter=1000).fit(log_odds[:, None], y)
    return {
        "ROC AUC": roc_auc_score(y, risk),
        "average precision": average_precision_score(y, risk),
        "Brier score": brier_score_loss(y, risk),
        "calibration slope": line.coef_[0, 0],
        "mean risk / base rate": np.mean(risk) / np.mean(y),
    }
