"""Visits made from the events of a cohort, as sequences of tokens or as counts."""

from ._as_of import (
    TruncatedHistories,
    count_static,
    has_overlaps,
    refuse_late_facts,
    with_earlier,
)
from ._grouping import group_events
from ._occluded import OccludedHistories, with_tokens, without_visits
from ._padded import PaddedVisits
from ._sequences import VisitSequences
from ._transformers import CodeCountVectorizer, VisitSequenceTransformer
from ._visit_frame import code_columns, leading_columns, with_outputs
from ._vocabulary import N_SPECIAL, UNKNOWN, Vocabulary

__all__ = [
    "N_SPECIAL",
    "UNKNOWN",
    "CodeCountVectorizer",
    "OccludedHistories",
    "PaddedVisits",
    "TruncatedHistories",
    "VisitSequenceTransformer",
    "VisitSequences",
    "Vocabulary",
    "code_columns",
    "count_static",
    "group_events",
    "has_overlaps",
    "leading_columns",
    "refuse_late_facts",
    "with_earlier",
    "with_outputs",
    "with_tokens",
    "without_visits",
]
