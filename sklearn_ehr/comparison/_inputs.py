"""Outcomes, splits and metrics, checked before any model is fitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils.multiclass import type_of_target

from ..model_selection import PatientKFold, StratifiedPatientKFold
from ..utils import shown, warn_user
from ._models import N_INNER_FOLDS
from ._predictions import PredictedClasses, PredictedNumbers

_DEFAULT_SCORING = {"binary": "roc_auc", "multiclass": "roc_auc_ovr", "continuous": "r2"}


@dataclass(frozen=True)
class Metric:
    """A metric as it was given, and the scorer that it stands for."""

    scoring: Any
    scorer: Any


def check_outcome(X, y):
    """Outcomes as an array, and their kind in the words of `type_of_target`."""
    kind, n_null = "unknown", 0
    try:
        y = np.asarray(y)
        if y.ndim == 1 and y.dtype.names is None:
            n_null = np.count_nonzero(pd.isna(y))
            y = pd.Series(y).infer_objects().to_numpy() if y.dtype == object else y
            kind = type_of_target(y) if not n_null else kind
    except (TypeError, ValueError):
        # Outcomes that numpy or scikit-learn cannot read; their messages would quote some.
        pass
    if n_null:
        raise ValueError(
            f"y has {n_null} null(s). Leave out the samples whose outcome is unknown: "
            f"compare(X[known], y[known]) with known = y.notna()."
        )
    if kind not in _DEFAULT_SCORING:
        raise ValueError(
            "y must have one class, or one finite number, per sample. For times to events, several "
            "outcomes per sample or labels of visits, use sklearn.model_selection.cross_validate "
            "with LSTMVisitSurvival, LSTMVisitClassifier, LSTMVisitRegressor or LSTMVisitTagger, "
            "and cv=PatientKFold()."
        )
    if len(y) != len(X):
        raise ValueError(f"X has {len(X)} samples, but y has {len(y)}. Take y from X.samples.")
    if len(np.unique(y)) == 1:
        raise ValueError("y has the same value in all samples, so there is nothing to predict.")
    return y, kind


def warn_of_copies(cohort, name):
    """Warn of samples that are there several times, as after oversampling."""
    try:
        n_copies = int(cohort.samples.duplicated().sum())
    except TypeError:
        # Of cells that are lists, which nobody compares.
        return
    if n_copies:
        warn_user(
            f"{n_copies} of the {len(cohort)} samples of {name} are copies of others, in all "
            f"columns. Test samples must be as common as in practice: if a model needs copies, "
            f"make them of training samples, inside the model."
        )


def draw_splits(cv, X, y, kind, random_state):
    """Positions of the training and test samples of each split."""
    if isinstance(cv, Integral):
        splitter = PatientKFold if kind == "continuous" else StratifiedPatientKFold
        cv = splitter(cv, shuffle=True, random_state=random_state)
    position = np.arange(len(X))
    splits = [
        (position[train], position[test])
        for train, test in check_cv(cv).split(X, y, groups=X.groups)
    ]
    if not splits:
        raise ValueError("cv gives no split. Give a number of folds, or a splitter.")
    for number, split in enumerate(splits, start=1):
        _check_split(f"Split {number} of {len(splits)}", *split, X.group_positions)
        if kind != "continuous":
            _check_classes(f"Split {number} of {len(splits)}", *split, y)
    return splits


def _check_split(split, train, test, groups):
    if not (len(train) and len(test)):
        raise ValueError(f"{split} has no sample to train on, or none to test on.")
    n_shared = len(np.intersect1d(groups[train], groups[test]))
    if n_shared:
        raise ValueError(
            f"{split} trains and tests on samples of the same {n_shared} patient(s), so that "
            f"scores would be too good. Use a splitter of sklearn_ehr, such as "
            f"cv=StratifiedPatientKFold()."
        )


def _check_classes(split, train, test, y):
    n_classes = len(np.unique(y))
    for side, purpose in ((train, "train"), (test, "test")):
        n_present = len(np.unique(y[side]))
        if n_present < n_classes:
            of_counts = (
                " Whole numbers are read as classes: for counts, use "
                "sklearn.model_selection.cross_validate with LSTMVisitRegressor and "
                "cv=PatientKFold()."
            )
            raise ValueError(
                f"{split} has samples of only {n_present} of {n_classes} classes to {purpose} on. "
                f"Use fewer folds, or merge rare classes.{of_counts if n_classes > 2 else ''}"
            )


def check_inner_folds(splits, y, groups):
    """Raise unless the penalty of the default regression can be tuned in each split."""
    for number, (train, _) in enumerate(splits, start=1):
        n_patients = min(len(np.unique(groups[train][y[train] == label])) for label in np.unique(y))
        if n_patients < N_INNER_FOLDS:
            raise ValueError(
                f"Split {number} of {len(splits)} has a class with {n_patients} patient(s) to "
                f"train on, too few to tune the regression in {N_INNER_FOLDS} folds. Merge rare "
                f"classes, or replace the regression or leave it out, with "
                f"models={{'regression': None}}."
            )


def read_scoring(scoring, kind, y):
    """Metrics by name, each tried on perfect predictions."""
    if scoring is None:
        scoring = _DEFAULT_SCORING[kind]
    if isinstance(scoring, str):
        scoring = [scoring]
    names = list(scoring) if isinstance(scoring, list | tuple | Mapping) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"scoring must be the name of a metric, a list of names, or a dict of names and "
            f"scorers, got {shown(scoring)}."
        )
    if not isinstance(scoring, Mapping):
        scoring = {name: name for name in names}
    if kind == "continuous":
        perfect = PredictedNumbers(y)
    else:
        classes = np.unique(y)
        perfect = PredictedClasses(classes, y, (y[:, np.newaxis] == classes).astype(float))
    metrics = {name: Metric(of, get_scorer(of)) for name, of in scoring.items()}
    for name, metric in metrics.items():
        _try_metric(name, metric, perfect, y, kind)
    return metrics


def _try_metric(name, metric, perfect, y, kind):
    try:
        score = metric.scorer(perfect, np.arange(len(y)), y)
        if not isinstance(score, Real):
            raise TypeError(f"it gives {type(score).__name__}, not a number")
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"scoring={name!r} does not score {kind} outcomes by their predictions ({error})."
        ) from error
