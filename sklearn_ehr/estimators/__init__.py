"""Which estimators put the network behind scikit-learn's verbs."""

from .classifier import LSTMVisitClassifier

__all__ = ["LSTMVisitClassifier"]
