"""Readers of the field's formats, and maps of codes: functions from dataframes to dataframes."""

from ._mimic import read_mimic, read_mimic_visits
from ._omop import read_omop, read_omop_visits

__all__ = ["read_mimic", "read_mimic_visits", "read_omop", "read_omop_visits"]
