"""Networks over ragged visits, in plain torch."""

from ._batch import VisitBatch
from ._encoder import VisitEncoder
from ._hazards import DiscreteHazardLoss
from ._lstm import VisitLSTM
from ._sampler import LengthBucketSampler

__all__ = [
    "DiscreteHazardLoss",
    "LengthBucketSampler",
    "VisitBatch",
    "VisitEncoder",
    "VisitLSTM",
]
