"""Which estimators put the network behind scikit-learn's verbs."""

from .classifier import LSTMVisitClassifier
from .regressor import LSTMVisitRegressor
from .survival import LSTMVisitSurvival
from .tagger import LSTMVisitTagger

__all__ = ["LSTMVisitClassifier", "LSTMVisitRegressor", "LSTMVisitSurvival", "LSTMVisitTagger"]
