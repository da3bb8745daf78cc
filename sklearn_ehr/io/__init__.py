"""Readers of the field's formats, and maps of codes: functions from dataframes to dataframes."""

__all__ = []
