"""Scores of a network during training, from any scikit-learn scorer."""

import warnings
from copy import copy
from numbers import Real

import numpy as np
from sklearn.metrics import check_scoring


def score_of(estimator, samples, learnt):
    """Function that scores a net as an estimator's, on samples for early stopping.

    `learnt` holds the attributes that the estimator needs to answer. None where its `scoring` is.
    """
    if estimator.scoring is None:
        return None
    scorer = check_scoring(estimator, scoring=estimator.scoring)
    X, y, weight = samples.sequences, samples.y, samples.weight
    # Not every scorer takes weights.
    weights = {} if (weight == weight[0]).all() else {"sample_weight": weight}

    def score(net):
        fitted = copy(estimator)
        vars(fitted).update(learnt, net_=net)
        net.module_.eval()
        try:
            value = scorer(fitted, X, y, **weights)
            if not (isinstance(value, Real) and np.isfinite(value)):
                raise ValueError(
                    "it gives no finite number, as where a class or label is missing there"
                )
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"scoring={estimator.scoring!r} does not score a {type(estimator).__name__} on its "
                f"validation split ({error}). Choose another scorer, None for the loss, or a "
                f"larger validation_fraction."
            ) from error
        return value

    return score


def warn_if_constant(history, scoring):
    """Tell of a score that chose no epoch."""
    if "valid_score" in history and len(history) > 1 and history["valid_score"].nunique() == 1:
        warnings.warn(
            f"scoring={scoring!r} was the same after every epoch, so the first was taken for the "
            f"best. Scores at a threshold, such as 'f1', do not tell models of a rare outcome "
            f"apart; 'roc_auc' does, or None for the loss.",
            UserWarning,
            stacklevel=6,
        )
