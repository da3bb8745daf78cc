"""Model, cohorts and outcomes of a report, checked before any work."""

from numbers import Real

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..cohort import Cohort
from ..utils import MIN_PATIENTS
from ._performance import Predicted
from ._small_cells import count_distinct

THRESHOLDS = tuple(round(0.05 * number, 2) for number in range(1, 11))
_OTHER_OUTCOMES = (
    "For other outcomes, score the model with scikit-learn's metrics, or those of scikit-survival, "
    "and describe it with make_model_card."
)


def check_estimator(estimator, name="estimator"):
    """Raise unless a model is a fitted classifier of two classes with probabilities."""
    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise TypeError(f"{name} must be a fitted classifier, got {_type_of(estimator)}.")
    check_is_fitted(estimator)
    if not is_classifier(estimator) or not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"{name} must be a classifier of two classes with predict_proba, such as a pipeline "
            f"that ends with LSTMVisitClassifier or LogisticRegression, got {_type_of(estimator)}. "
            f"{_OTHER_OUTCOMES}"
        )
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.shape != (2,):
        raise ValueError(
            f"{name} must have two classes, of which the second is the outcome. This "
            f"{_type_of(estimator)} has others, or several labels. {_OTHER_OUTCOMES}"
        )


def _type_of(thing):
    return f"class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__


def check_cohorts(X, X_test):
    """Raise unless both are cohorts, of different patients."""
    for name, cohort in (("X", X), ("X_test", X_test)):
        if not isinstance(cohort, Cohort):
            raise TypeError(
                f"{name} must be a Cohort, got {_type_of(cohort)}. The report describes samples, "
                f"and draws patients, which a Cohort knows."
            )
    for of, other in ((X.groups, X_test.groups), (X.patients, X_test.patients)):
        # An id may be a number in one cohort and a text in the other.
        n_shared = len(set(map(str, of.tolist())) & set(map(str, other.tolist())))
        if not n_shared:
            continue
        raise ValueError(
            f"X and X_test share {n_shared} patient(s) (groups, if the cohort has any), so that "
            f"the performance would look too good. Split one cohort by patient: train, test = "
            f"next(PatientShuffleSplit(1, random_state=0).split(X))."
        )


def read_outcome(y, X, classes, name, cohort_name):
    """Whether each sample has the outcome, the second class of the model, ndarray of bool."""
    try:
        y = np.asarray(y)
        n_null = np.count_nonzero(pd.isna(y)) if y.ndim == 1 else 0
    except (TypeError, ValueError):
        # What numpy cannot read; its message would quote some.
        y, n_null = np.empty((0, 0)), 0
    if y.ndim != 1:
        raise ValueError(f"{name} must hold one class per sample of {cohort_name}.")
    if len(y) != len(X):
        raise ValueError(f"{cohort_name} has {len(X)} samples, but {name} has {len(y)}.")
    if n_null:
        raise ValueError(f"{name} has {n_null} null(s). Leave out samples of unknown outcome.")
    # Where types cannot be compared, == answers with a single False.
    is_class = [np.broadcast_to(np.asarray(y == of, dtype=bool), len(y)) for of in classes]
    if not (is_class[0] | is_class[1]).all():
        raise ValueError(
            f"{name} holds other values (dtype {y.dtype}) than the two classes of the model (dtype "
            f"{classes.dtype}). Pass the outcomes in the form that it was fitted with."
        )
    fewest = min(count_distinct(X.group_positions[of]) for of in is_class)
    if fewest < MIN_PATIENTS:
        raise ValueError(
            f"{name} must have both classes, each in at least {MIN_PATIENTS} patients: with fewer, "
            f"the report would show small cells, and hardly measure anything."
        )
    return is_class[1]


def predict(estimator, X, is_event, name="estimator"):
    """Predicted risks of the test samples, checked."""
    try:
        risk = np.asarray(estimator.predict_proba(X), dtype=np.float64)
    except (TypeError, ValueError) as error:
        error.add_note(f"Raised in report by {name}.")
        raise
    if risk.shape != (len(X), 2) or not ((risk >= 0) & (risk <= 1)).all():
        raise ValueError(
            f"predict_proba of {name} must return a probability of each of two classes per sample."
        )
    patient = np.unique(X.group_positions, return_inverse=True)[1]
    return Predicted(is_event, risk[:, 1], patient)


def read_thresholds(thresholds):
    """Thresholds of the risk, ascending, as a tuple."""
    if thresholds is None:
        return THRESHOLDS
    values = list(thresholds) if isinstance(thresholds, list | tuple | np.ndarray) else [thresholds]
    are_numbers = all(isinstance(value, Real) and 0 < value < 1 for value in values)
    if not values or not are_numbers or len(set(values)) < len(values):
        raise ValueError(
            "thresholds must be distinct numbers above 0 and below 1, such as [0.1, 0.2]."
        )
    return tuple(sorted(map(float, values)))
