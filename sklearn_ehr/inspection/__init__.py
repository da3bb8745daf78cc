"""Inspection of fitted models: what they are, what they need, and what they have learnt."""

from ._code_importance import code_importance
from ._model_card import make_model_card
from ._risk_metrics import calibration_slope, net_benefit
from .displays import (
    AttritionDisplay,
    CalibrationSlopeDisplay,
    CodeImportanceDisplay,
    DecisionCurveDisplay,
    TrainingHistoryDisplay,
)

__all__ = [
    "AttritionDisplay",
    "CalibrationSlopeDisplay",
    "CodeImportanceDisplay",
    "DecisionCurveDisplay",
    "TrainingHistoryDisplay",
    "calibration_slope",
    "code_importance",
    "make_model_card",
    "net_benefit",
]
