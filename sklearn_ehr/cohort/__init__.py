"""Samples to predict, the table of their events, and the rule of which events are visible."""

from ._cohort import Cohort, as_cohort
from ._days import day_of, midnights
from ._durations import add_duration, as_duration, elapsed, look_back
from ._event_table import EventTable, as_event_table
from ._sample_table import match_patients
from ._times import (
    Times,
    as_keys,
    check_comparable,
    convert,
    is_before,
    last_key_by,
    null_times,
    read_time,
    read_times,
    warn_if_far_ahead,
)
from ._visibility import RESOLUTION_KEY, check_resolution, choose_resolution, known_from

__all__ = [
    "RESOLUTION_KEY",
    "Cohort",
    "EventTable",
    "Times",
    "add_duration",
    "as_cohort",
    "as_duration",
    "as_event_table",
    "as_keys",
    "check_comparable",
    "check_resolution",
    "choose_resolution",
    "convert",
    "day_of",
    "elapsed",
    "is_before",
    "known_from",
    "last_key_by",
    "look_back",
    "match_patients",
    "midnights",
    "null_times",
    "read_time",
    "read_times",
    "warn_if_far_ahead",
]
