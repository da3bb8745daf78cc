"""Inspection of fitted models: what they are, and what they need."""

from ._model_card import make_model_card

__all__ = ["make_model_card"]
