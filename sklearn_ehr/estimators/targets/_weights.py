"""Sample weights, and checks that every target needs."""

from numbers import Real

import numpy as np
import pandas as pd

from ...utils import check_sample_weight


def require_y(y, estimator):
    """Raise as scikit-learn does where there is no outcome."""
    if y is None:
        raise ValueError(
            f"{estimator} requires y to be passed, but the target y is None. Give an outcome for "
            f"each sample."
        )


def check_weight(sample_weight, X, *, is_scaled=True):
    """Weight of each sample, of at least 0; all equal where none is given.

    With `is_scaled`, weights so large or small that their sums would not be finite or not be above
    0 are brought to at most 1.
    """
    if sample_weight is not None and not isinstance(sample_weight, Real):
        sample_weight = as_floats(sample_weight, "sample_weight")
    weight = check_sample_weight(
        sample_weight, X, dtype=np.float64, copy=True, ensure_non_negative=True
    )
    if not weight.any():
        raise ValueError("sample_weight leaves every sample a weight of zero.")
    if is_scaled and not 1e-100 < weight.max() < 1e100:
        # By a power of two, which leaves ratios what they are to the last bit.
        weight = np.ldexp(weight, -np.frexp(weight.max())[1])
    return weight


def as_floats(values, name):
    """Numbers as an array; the conversions of numpy and scikit-learn print what is no number."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "mMc":
            raise TypeError
        if array.dtype == object:
            # pandas.NA does not convert.
            array = np.where(pd.isna(array), np.nan, array)
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must hold a number for each sample; got a {type(values).__name__} that does "
            f"not convert to float. Convert durations to numbers by dividing by "
            f"pandas.Timedelta('1D')."
        ) from None
