"""Inspection of fitted models: why they predict what they do, what they are, what they need."""

from ._code_contributions import attention_weights, code_contributions
from ._model_card import make_model_card
from ._visit_contributions import visit_contributions

__all__ = [
    "attention_weights",
    "code_contributions",
    "make_model_card",
    "visit_contributions",
]
