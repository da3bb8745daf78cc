"""Targets for training, with one module per kind of y."""

from ._labels import (
    LabelCoding,
    as_labels,
    check_further_labels,
    check_labels,
    check_two_classes,
    coding_given,
    refuse_other_labels,
    resolve_class_weight,
    strata_of_labels,
    weigh_classes,
)
from ._numbers import NumberScaling, check_numbers
from ._survival import (
    common_log_odds,
    cut_time,
    end_of_follow_up,
    place_in_intervals,
    read_survival,
    warn_if_new_events,
    warn_if_none_censored,
)
from ._visits import flatten_labels, read_labels
from ._weights import as_floats, check_weight

__all__ = [
    "LabelCoding",
    "NumberScaling",
    "as_floats",
    "as_labels",
    "check_further_labels",
    "check_labels",
    "check_numbers",
    "check_two_classes",
    "check_weight",
    "coding_given",
    "common_log_odds",
    "cut_time",
    "end_of_follow_up",
    "flatten_labels",
    "place_in_intervals",
    "read_labels",
    "read_survival",
    "refuse_other_labels",
    "resolve_class_weight",
    "strata_of_labels",
    "warn_if_new_events",
    "warn_if_none_censored",
    "weigh_classes",
]
