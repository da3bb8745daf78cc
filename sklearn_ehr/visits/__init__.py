"""Visits made from the events of a cohort, as sequences of tokens or as counts."""

from ._as_of import (
    TruncatedHistories,
    count_static,
    refuse_late_facts,
    refuse_overlaps,
    with_earlier,
)
from ._grouping import group_events
from ._padded import PaddedVisits
from ._sequences import VisitSequences
from ._transformers import CodeCountVectorizer, VisitSequenceTransformer
from ._visit_frame import leading_columns, with_outputs
from ._vocabulary import N_SPECIAL, UNKNOWN, Vocabulary

__all__ = [
    "N_SPECIAL",
    "UNKNOWN",
    "CodeCountVectorizer",
    "PaddedVisits",
    "TruncatedHistories",
    "VisitSequenceTransformer",
    "VisitSequences",
    "Vocabulary",
    "count_static",
    "group_events",
    "leading_columns",
    "refuse_late_facts",
    "refuse_overlaps",
    "with_earlier",
    "with_outputs",
]
