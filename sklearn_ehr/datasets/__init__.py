"""Which histories are there to learn and to measure on."""

from ._diabetes import load_diabetes_readmission
from ._simulate import make_visits

__all__ = ["load_diabetes_readmission", "make_visits"]
