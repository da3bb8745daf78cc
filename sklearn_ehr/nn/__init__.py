"""Which torch modules turn ragged visits into predictions."""

from ._batch import VisitBatch
from ._encoder import VisitEncoder
from ._lstm import VisitLSTM

__all__ = ["VisitBatch", "VisitEncoder", "VisitLSTM"]
