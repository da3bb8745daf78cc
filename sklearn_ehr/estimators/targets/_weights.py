"""Sample weights, and checks that every target needs."""

from numbers import Real

import numpy as np
from sklearn.utils.validation import _check_sample_weight


def require_y(y, estimator):
    """Raise as scikit-learn does where there is no outcome."""
    if y is None:
        raise ValueError(
            f"{estimator} requires y to be passed, but the target y is None. Give an outcome for "
            f"each sample."
        )


def check_weight(sample_weight, X):
    """Weight of each sample, of at least 0; all ones where none is given."""
    if sample_weight is not None and not isinstance(sample_weight, Real):
        sample_weight = as_floats(sample_weight, "sample_weight")
    return _check_sample_weight(
        sample_weight, X, dtype=np.float64, copy=True, ensure_non_negative=True
    )


def as_floats(values, name):
    """Numbers as an array; the conversions of numpy and scikit-learn print what is no number."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "mM":
            raise TypeError
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must hold a number for each sample; got a {type(values).__name__} that does "
            f"not convert to float. Make lengths of time numbers by dividing by "
            f"pandas.Timedelta('1D')."
        ) from None
