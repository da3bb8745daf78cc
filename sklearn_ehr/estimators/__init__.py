"""Which estimators put the network behind scikit-learn's verbs."""

from ._code_vectors import make_code_vectors
from .classifier import LSTMVisitClassifier
from .regressor import LSTMVisitRegressor
from .survival import LSTMVisitSurvival
from .tagger import LSTMVisitTagger

__all__ = [
    "LSTMVisitClassifier",
    "LSTMVisitRegressor",
    "LSTMVisitSurvival",
    "LSTMVisitTagger",
    "make_code_vectors",
]
