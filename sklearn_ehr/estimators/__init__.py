"""Estimators that train the network with the scikit-learn API."""

from ._classifier import LSTMVisitClassifier
from ._code_vectors import make_code_vectors
from ._explained import (
    is_explainable,
    names_of_outputs,
    outputs_in_order,
    outputs_of,
    risks_of,
    weights_of_codes,
)
from ._gradients import integrated_gradients
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
    "integrated_gradients",
    "is_explainable",
    "make_code_vectors",
    "names_of_outputs",
    "outputs_in_order",
    "outputs_of",
    "risks_of",
    "summarise",
    "weights_of_codes",
]
