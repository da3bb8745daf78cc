"""Targets for training, with one module per kind of y."""

from ._labels import (
    LabelCoding,
    as_labels,
    check_labels,
    check_two_classes,
    coding_given,
    refuse_other_labels,
    strata_of_labels,
    weigh_classes,
)
from ._numbers import NumberScaling, check_numbers
from ._survival import common_log_odds, cut_time, place_in_intervals, read_survival
from ._visits import flatten_labels, read_labels
from ._weights import check_weight

__all__ = [
    "LabelCoding",
    "NumberScaling",
    "as_labels",
    "check_labels",
    "check_numbers",
    "check_two_classes",
    "check_weight",
    "coding_given",
    "common_log_odds",
    "cut_time",
    "flatten_labels",
    "place_in_intervals",
    "read_labels",
    "read_survival",
    "refuse_other_labels",
    "strata_of_labels",
    "weigh_classes",
]
