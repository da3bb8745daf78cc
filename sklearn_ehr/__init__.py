"""scikit-learn-compatible estimators for coded patient histories."""

from .cohort import Cohort

__all__ = [
    "Cohort",
]

__version__ = "0.1.0"
