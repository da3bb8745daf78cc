"""Readers of the field's formats, and maps of codes: functions from dataframes to dataframes."""

from ._code_maps import map_codes

__all__ = ["map_codes"]
