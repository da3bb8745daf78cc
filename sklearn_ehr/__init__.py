"""scikit-learn-compatible estimators for coded patient histories."""

__version__ = "0.1.0"
