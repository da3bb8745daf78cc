"""Readers of the field's formats, and maps of codes: functions from dataframes to dataframes."""

from ._omop import read_omop, read_omop_visits

__all__ = ["read_omop", "read_omop_visits"]
