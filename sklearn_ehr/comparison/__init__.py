"""Comparison of an LSTM with simpler models on the same patients."""

from ._compare import compare

__all__ = ["compare"]
