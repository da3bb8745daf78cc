"""Which torch modules turn ragged visits into predictions."""

from ._batch import VisitBatch
from ._encoder import VisitEncoder
from ._lstm import VisitLSTM
from ._sampler import LengthBucketSampler

__all__ = ["LengthBucketSampler", "VisitBatch", "VisitEncoder", "VisitLSTM"]
