"""Which torch modules turn ragged visits into predictions."""

from ._batch import VisitBatch
from ._counts import CodeCountLinear
from ._encoder import VisitEncoder
from ._hazards import DiscreteHazardLoss
from ._lstm import VisitLSTM
from ._sampler import LengthBucketSampler

__all__ = [
    "CodeCountLinear",
    "DiscreteHazardLoss",
    "LengthBucketSampler",
    "VisitBatch",
    "VisitEncoder",
    "VisitLSTM",
]
