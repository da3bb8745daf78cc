"""Readers of the field's formats, and maps of codes: functions from dataframes to dataframes."""

from ._code_maps import map_codes
from ._omop import read_omop, read_omop_visits

__all__ = ["map_codes", "read_omop", "read_omop_visits"]
