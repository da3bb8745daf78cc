"""Visits made from the events of a cohort, as sequences of tokens or as counts."""

from ._as_of import (
    as_of_truncated,
    count_static,
    refuse_late_facts,
    refuse_overlaps,
    truncated_visits,
    with_earlier,
)
from ._sequences import PaddedVisits, VisitSequences
from ._tokens import group_events
from ._transformers import CodeCountVectorizer, VisitSequenceTransformer
from ._vocabulary import N_SPECIAL, UNKNOWN, Vocabulary

__all__ = [
    "N_SPECIAL",
    "UNKNOWN",
    "CodeCountVectorizer",
    "PaddedVisits",
    "VisitSequenceTransformer",
    "VisitSequences",
    "Vocabulary",
    "as_of_truncated",
    "count_static",
    "group_events",
    "refuse_late_facts",
    "refuse_overlaps",
    "truncated_visits",
    "with_earlier",
]
