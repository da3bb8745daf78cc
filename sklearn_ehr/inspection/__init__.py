"""Inspection of fitted models: why they predict what they do, how well, and what they need."""

from ._code_contributions import attention_weights, code_contributions
from ._code_importance import code_importance
from ._description import describe_model
from ._model_card import make_model_card
from ._risk_metrics import calibration_slope, net_benefit
from ._visit_contributions import visit_contributions
from .displays import (
    AttritionDisplay,
    CalibrationSlopeDisplay,
    CodeImportanceDisplay,
    DecisionCurveDisplay,
    PatientTimelineDisplay,
    RiskByVisitDisplay,
    TrainingHistoryDisplay,
)

__all__ = [
    "AttritionDisplay",
    "CalibrationSlopeDisplay",
    "CodeImportanceDisplay",
    "DecisionCurveDisplay",
    "PatientTimelineDisplay",
    "RiskByVisitDisplay",
    "TrainingHistoryDisplay",
    "attention_weights",
    "calibration_slope",
    "code_contributions",
    "code_importance",
    "describe_model",
    "make_model_card",
    "net_benefit",
    "visit_contributions",
]
