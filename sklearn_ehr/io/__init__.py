"""Readers of the field's formats, and maps of codes: functions from dataframes to dataframes."""

from ._meds import read_meds, read_meds_codes, read_meds_splits
from ._meds_write import to_meds, to_meds_predictions

__all__ = ["read_meds", "read_meds_codes", "read_meds_splits", "to_meds", "to_meds_predictions"]
