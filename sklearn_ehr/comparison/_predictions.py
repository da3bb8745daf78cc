"""Predictions of a fitted model, in the place of it."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class PredictedNumbers(RegressorMixin, BaseEstimator):
    """Predictions of a regressor, which a scorer gets by the positions of samples."""

    def __init__(self, predicted):
        self.predicted = predicted

    def predict(self, X):
        """Predicted number at each position."""
        return self.predicted[X]


class PredictedClasses(ClassifierMixin, BaseEstimator):
    """Predictions of a classifier, which a scorer gets by the positions of samples.

    Classes are given by their position.
    """

    def __init__(self, predicted, proba):
        self.predicted = predicted
        self.proba = proba

    @property
    def classes_(self):
        """Position of each class."""
        return np.arange(self.proba.shape[1])

    def predict(self, X):
        """Predicted class at each position."""
        return self.predicted[X]

    def predict_proba(self, X):
        """Probability of each class at each position."""
        return self.proba[X]
