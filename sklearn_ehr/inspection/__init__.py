"""Inspection of fitted models: what they are, and what they need."""

from ._description import describe_model
from ._model_card import make_model_card
from ._risk_metrics import calibration_slope, net_benefit

__all__ = ["calibration_slope", "describe_model", "make_model_card", "net_benefit"]
