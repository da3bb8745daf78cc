"""Estimators that train the network with the scikit-learn API."""

from ._classifier import LSTMVisitClassifier
from ._code_vectors import make_code_vectors
from ._inputs import as_sequences
from ._regressor import LSTMVisitRegressor
from ._summary import summarise
from ._survival import LSTMVisitSurvival
from ._tagger import LSTMVisitTagger

__all__ = [
    "LSTMVisitClassifier",
    "LSTMVisitRegressor",
    "LSTMVisitSurvival",
    "LSTMVisitTagger",
    "as_sequences",
    "make_code_vectors",
    "summarise",
]
