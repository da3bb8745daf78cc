"""Samples and labels made from events."""

from ._samples import make_samples
from ._visit_labels import make_next_visit_labels, make_visit_labels

__all__ = ["make_next_visit_labels", "make_samples", "make_visit_labels"]
