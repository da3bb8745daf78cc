"""Warnings that show the line of the user who caused them."""

import warnings
from inspect import currentframe

_NOT_OF_USERS = {
    "contextlib",
    "copy",
    "copyreg",
    "joblib",
    "pickle",
    "sklearn",
    "sklearn_ehr",
    "skops",
    "skorch",
}


def warn_user(message):
    """Warn with the first line outside this package and those that call it back."""
    frame, level = currentframe().f_back, 2
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _NOT_OF_USERS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
