"""Risks that a classifier predicts, and the outcomes that they are compared with."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._risk_metrics import read_risks


def predicted_risks(estimator, X, y):
    """Whether each sample has the second class, and its predicted probability.

    `estimator` is any fitted classifier of two classes with `predict_proba`.
    """
    check_is_fitted(estimator)
    classes = getattr(estimator, "classes_", ())
    if not hasattr(estimator, "predict_proba") or len(classes) != 2:
        raise ValueError(
            f"estimator must be a classifier of two classes with predict_proba, got a "
            f"{type(estimator).__name__} of {len(classes)} classes. For one class of several, or "
            f"one label, use from_predictions."
        )
    y = np.asarray(y)
    if not np.isin(y, classes).all():
        raise ValueError("y has outcomes that are none of the two classes of estimator.")
    return read_risks(y == classes[1], estimator.predict_proba(X)[:, 1])


def name_of(estimator):
    """Name of a model in a legend: its class, or that of the last step of a pipeline."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        else:
            return type(estimator).__name__
