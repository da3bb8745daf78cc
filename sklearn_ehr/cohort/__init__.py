"""Who is predicted, as of when, from which events."""

from ._cohort import Cohort, as_cohort
from ._times import (
    Times,
    add_duration,
    align,
    as_duration,
    look_back,
    null_times,
    read_time,
    read_times,
    to_local,
)

__all__ = [
    "Cohort",
    "Times",
    "add_duration",
    "align",
    "as_cohort",
    "as_duration",
    "look_back",
    "null_times",
    "read_time",
    "read_times",
    "to_local",
]
