"""Which X the estimators take, and how it reaches the network."""

import numpy as np
import torch

from ..nn import VisitBatch
from ..visits import VisitSequences


def as_sequences(X):
    """Visit sequences as they are; padded codes (0 for padding) as sequences.

    Raises
    ------
    TypeError
        If `X` is neither.
    ValueError
        If it has no samples or another shape.
    """
    if not isinstance(X, VisitSequences):
        if hasattr(X, "columns") or hasattr(X, "visible_events"):
            raise TypeError(
                f"X must be VisitSequences or padded codes of shape (n_samples, n_visits, "
                f"n_codes), got {type(X).__name__}. Put VisitSequenceTransformer before this: "
                f"make_pipeline(VisitSequenceTransformer(), ...)."
            )
        X = VisitSequences.from_padded(X)
    if not len(X):
        raise ValueError("X has 0 samples, while a minimum of 1 is required.")
    return X


def as_batch(sequences, times=None):
    """A `VisitBatch` of sequences, with the times of their visits where they are read."""
    return VisitBatch(
        torch.from_numpy(sequences.tokens.astype(np.int64)),
        torch.from_numpy(sequences.visit_offsets),
        torch.from_numpy(sequences.sample_offsets),
        times,
    )


def read_times(sequences, by_visit):
    """Gap before each visit, and time to the prediction after it: Tensor (n_visits, 2).

    `by_visit` says whether predictions are made as of every visit.
    """
    waits = sequences.waits_by_visit() if by_visit else sequences.times_to_prediction
    times = np.stack([sequences.time_gaps, waits], axis=1)
    return torch.from_numpy(times.astype(np.float32))
