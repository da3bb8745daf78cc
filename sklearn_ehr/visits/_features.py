"""Numbers beside codes, standardised, with null values filled and marked."""

import warnings

import numpy as np
from sklearn.preprocessing import StandardScaler

# In standard deviations: beyond, a network would answer infinity.
_LARGEST = 1e6


class FeatureEncoder:
    """Encoding of the features of a cohort, learnt on the training samples.

    Each feature is standardised, and a null value becomes 0, the mean. A feature that enough
    patients have no value of has a second column, 1 where its value is null. Encoded values are
    limited to a million standard deviations. `names` are the features, and `names_out` the columns.

    At least `min_patients` patients (groups, if the cohort has any) must have a value of a feature,
    and another value than its most common one (if any has); as many must lack a value for the
    column of null values. From the mean of fewer, the value of a single patient could be found. A
    warning tells which features are left out.
    """

    def __init__(self, cohort, min_patients):
        features = cohort.features
        self.names = list(features.columns)

        def count_patients(is_one):
            return is_one.groupby(cohort.group_positions).any().sum()

        is_there = features.notna()
        n_with = count_patients(is_there)
        n_other = count_patients(is_there & features.ne(features.mode().reindex([0]).loc[0]))
        is_kept = (n_with >= min_patients) & ((n_other == 0) | (n_other >= min_patients))
        is_marked = is_kept & (count_patients(~is_there) >= min_patients)
        self._kept, self._marked = ([n for n in self.names if a[n]] for a in (is_kept, is_marked))
        if rare := [name for name in self.names if name not in self._kept]:
            warnings.warn(
                f"Features {', '.join(map(repr, rare))} are left out, as fewer than {min_patients} "
                f"training patients (min_frequency) have a value of them, or one that differs from "
                f"the most common value.",
                UserWarning,
                stacklevel=4,
            )
        self.names_out = [*self._kept, *(f"missingindicator_{name}" for name in self._marked)]
        if self._kept:
            self._scaler = StandardScaler().set_output(transform="default")
            self._scaler.fit(features[self._kept])

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
        if not self._kept:
            return np.empty((len(cohort), 0))
        scaled = np.nan_to_num(self._scaler.transform(features[self._kept]))
        # A new value may be far from those of a feature that hardly varied in training.
        scaled = np.clip(scaled, -_LARGEST, _LARGEST)
        return np.column_stack([scaled, features[self._marked].isna()])
