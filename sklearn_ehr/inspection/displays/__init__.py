"""Displays: pictures of models and studies, drawn with matplotlib."""

from ._attrition import AttritionDisplay
from ._calibration_slope import CalibrationSlopeDisplay
from ._code_importance import CodeImportanceDisplay
from ._decision_curve import DecisionCurveDisplay
from ._patient_timeline import PatientTimelineDisplay
from ._risk_by_visit import RiskByVisitDisplay
from ._training_history import TrainingHistoryDisplay

__all__ = [
    "AttritionDisplay",
    "CalibrationSlopeDisplay",
    "CodeImportanceDisplay",
    "DecisionCurveDisplay",
    "PatientTimelineDisplay",
    "RiskByVisitDisplay",
    "TrainingHistoryDisplay",
]
