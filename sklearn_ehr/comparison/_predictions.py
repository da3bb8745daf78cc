"""Stored predictions that stand in for a fitted model."""

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class PredictedNumbers(RegressorMixin, BaseEstimator):
    """Predictions of a regressor, looked up by the position of the sample."""

    def __init__(self, predicted):
        self.predicted = predicted

    def predict(self, X):
        """Predicted number at each position."""
        return self.predicted[X]


class PredictedClasses(ClassifierMixin, BaseEstimator):
    """Predictions of a classifier, looked up by the position of the sample."""

    def __init__(self, classes, predicted, proba):
        self.classes = classes
        self.predicted = predicted
        self.proba = proba

    @property
    def classes_(self):
        """The classes, in the order of the columns of `proba`."""
        return self.classes

    def predict(self, X):
        """Predicted class at each position."""
        return self.predicted[X]

    def predict_proba(self, X):
        """Probability of each class at each position."""
        return self.proba[X]
