"""Splitters that keep all samples of a patient on one side of a split."""

from ._folds import (
    PatientKFold,
    PatientShuffleSplit,
    StratifiedPatientKFold,
    split_off_patients,
)
from ._single import PredefinedPatientSplit, TemporalPatientSplit

__all__ = [
    "PatientKFold",
    "PatientShuffleSplit",
    "PredefinedPatientSplit",
    "StratifiedPatientKFold",
    "TemporalPatientSplit",
    "split_off_patients",
]
