"""Real and simulated patient histories for examples, tests and benchmarks."""

from ._diabetes import load_diabetes_readmission
from ._simulate import make_visits

__all__ = ["load_diabetes_readmission", "make_visits"]
