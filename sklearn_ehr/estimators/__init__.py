"""Which estimators put the network behind scikit-learn's verbs."""

from .classifier import LSTMVisitClassifier
from .regressor import LSTMVisitRegressor

__all__ = ["LSTMVisitClassifier", "LSTMVisitRegressor"]
