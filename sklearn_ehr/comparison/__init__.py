"""Comparison of an LSTM with simpler models on the same patients."""

from ._bootstrap import N_DRAWS_OF_BLOCK, draw_patients, score_areas
from ._compare import compare
from ._inputs import warn_of_copies
from ._models import make_regression

__all__ = [
    "N_DRAWS_OF_BLOCK",
    "compare",
    "draw_patients",
    "make_regression",
    "score_areas",
    "warn_of_copies",
]
