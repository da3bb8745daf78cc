"""Patients of the samples to split."""

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length


def patients_of(X, groups, splitter):
    if groups is not None:
        check_consistent_length(X, groups)
        if pd.isna(np.asarray(groups, dtype=object)).any():
            raise ValueError("groups has nulls. Every sample needs a group.")
    else:
        groups = getattr(X, "groups", None)
    if groups is None:
        raise ValueError(
            f"{splitter} needs the patient of each sample, but X of type {type(X).__name__} has "
            f"no groups. Split a Cohort, or pass groups=."
        )
    return groups
