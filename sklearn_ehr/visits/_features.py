"""Numbers beside codes, standardised, with null values filled and marked."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.preprocessing import StandardScaler

from ..utils import saved_by

# In standard deviations: beyond, a network would answer infinity.
_LARGEST = 1e6


@saved_by("names", "kept", "marked", "mean", "scale")
@dataclass(frozen=True, eq=False)
class FeatureEncoder:
    """Encoding of the features of a cohort, learnt on the training samples.

    Each feature is standardised, and a null value becomes 0, the mean. A feature that enough
    patients have no value of has a second column, 1 where its value is null. Encoded values are
    limited to a million standard deviations. `names` are the features; the `kept` ones have a
    `mean` and a `scale`, and the `marked` ones have a second column.
    """

    names: list
    kept: list
    marked: list
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, cohort, min_patients):
        """Learn the encoding.

        At least `min_patients` patients (groups, if the cohort has any) must have a value of a
        feature, and another value than its most common one (if any has); as many must lack a value
        for the column of null values. From the mean of fewer, the value of a single patient could
        be found. A warning tells which features are left out.
        """
        features = cohort.features
        names = list(features.columns)

        def count_patients(is_one):
            return is_one.groupby(cohort.group_positions).any().sum()

        is_there = features.notna()
        n_with = count_patients(is_there)
        n_other = count_patients(is_there & features.ne(features.mode().reindex([0]).loc[0]))
        is_kept = (n_with >= min_patients) & ((n_other == 0) | (n_other >= min_patients))
        is_marked = is_kept & (count_patients(~is_there) >= min_patients)
        kept, marked = ([n for n in names if a[n]] for a in (is_kept, is_marked))
        if rare := [name for name in names if name not in kept]:
            warnings.warn(
                f"Features {', '.join(map(repr, rare))} are left out, as fewer than {min_patients} "
                f"training patients (min_frequency) have a value of them, or one that differs from "
                f"the most common value.",
                UserWarning,
                stacklevel=4,
            )
        if not kept:
            return cls(names, kept, marked, np.empty(0), np.empty(0))
        scaler = StandardScaler().fit(features[kept].to_numpy())
        return cls(names, kept, marked, scaler.mean_, scaler.scale_)

    @property
    def names_out(self):
        """Names of the columns."""
        return [*self.kept, *(f"missingindicator_{name}" for name in self.marked)]

    def __call__(self, cohort):
        """Encode the features of a cohort, which must be those it learnt from, in any order."""
        features = cohort.features
        if missing := [name for name in self.names if name not in features.columns]:
            raise ValueError(
                f"X lacks the features {', '.join(map(repr, missing))}, which this transformer was "
                f"fitted on. Name their columns in Cohort(..., features=[...])."
            )
        if surplus := [name for name in features.columns if name not in self.names]:
            raise ValueError(
                f"X has the features {', '.join(map(repr, surplus))}, which this transformer was "
                f"not fitted on. Leave them out of Cohort(..., features=[...]), or fit again."
            )
        if not self.kept:
            return np.empty((len(cohort), 0))
        scaled = np.nan_to_num((features[self.kept].to_numpy() - self.mean) / self.scale)
        # A new value may be far from those of a feature that hardly varied in training.
        scaled = np.clip(scaled, -_LARGEST, _LARGEST)
        return np.column_stack([scaled, features[self.marked].isna()])
