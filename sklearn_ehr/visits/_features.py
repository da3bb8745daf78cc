"""Numbers beside codes, standardised, with null values filled and marked."""

import warnings

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# In standard deviations: beyond, a network would answer infinity.
_LARGEST = 1e6


class FeatureEncoder:
    """Encoding of the features of a cohort, learnt on the training samples.

    Each feature is standardised, and a null value becomes 0, the mean. A feature with null values
    among the training samples has a second column, 1 where its value is null. Encoded values are
    limited to a million standard deviations.

    Parameters
    ----------
    cohort : Cohort
        The training samples.
    min_patients : int
        Minimum number of patients (groups, if the cohort has any) with a value of a feature. Other
        features are left out, as their means could be the values of single patients.

    Attributes
    ----------
    names : list of str
        The features of the cohort.
    names_out : list of str
        Names of the columns; empty if there are none.

    Warns
    -----
    UserWarning
        If a feature is left out.
    """

    def __init__(self, cohort, min_patients):
        features = cohort.features
        self.names = list(features.columns)
        n_patients = features.notna().groupby(cohort.group_positions).any().sum()
        self._kept = [name for name in self.names if n_patients[name] >= min_patients]
        if rare := [name for name in self.names if name not in self._kept]:
            warnings.warn(
                f"Features {', '.join(map(repr, rare))} are left out, as fewer than {min_patients} "
                f"training patients (min_frequency) have a value of them.",
                UserWarning,
                stacklevel=4,
            )
        self.names_out = []
        if self._kept:
            self._pipeline = make_pipeline(
                StandardScaler(),
                SimpleImputer(strategy="constant", fill_value=0, add_indicator=True),
            ).set_output(transform="default")
            self._pipeline.fit(features[self._kept])
            self.names_out = self._pipeline.get_feature_names_out().tolist()

    def __call__(self, cohort):
        """Encode the features of a cohort, whose columns may be in any order.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float64

        Raises
        ------
        ValueError
            If the cohort lacks features that this was fitted on, or has others.
        """
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
        encoded = self._pipeline.transform(features[self._kept])
        # A new value may be far from those of a feature that hardly varied in training.
        return np.clip(encoded, -_LARGEST, _LARGEST)
