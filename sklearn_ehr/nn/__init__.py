"""Networks over ragged visits, in plain torch."""

from ._batch import VisitBatch
from ._counts import CodeCountLinear, cumulate, log1p_steps
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
    "cumulate",
    "log1p_steps",
]
