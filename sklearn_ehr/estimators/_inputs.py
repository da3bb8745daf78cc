"""Inputs of the estimators, and the batches that the network reads."""

from copy import copy

import numpy as np
import torch

from ..nn import VisitBatch
from ..utils import offsets_from_lengths
from ..visits import UNKNOWN, VisitSequences

_WAY_OUT = {
    "X": "Put a transformer before this: make_pipeline(VisitSequenceTransformer(), ...).",
    "X_val": "Transform it as X; in a pipeline, set transform_input=['X_val'].",
}
# Embeddings of 256 numbers, and what their training keeps beside them, take 5 GiB.
_MOST_IDS = 2**20
# As many vectors of 256 numbers take 128 MiB.
_MOST_VISITS = 2**17


def as_sequences(X, name="X"):
    """Return `X` as sequences; convert padded codes (0 is padding)."""
    if not isinstance(X, VisitSequences):
        if hasattr(X, "columns") or hasattr(X, "visible_events"):
            raise TypeError(
                f"{name} must be VisitSequences or padded codes of shape (n_samples, n_visits, "
                f"n_codes), got {type(X).__name__}. {_WAY_OUT[name]}"
            )
        X = VisitSequences.from_padded(X)
    if not len(X):
        raise ValueError(f"{name} has 0 samples, while a minimum of 1 is required.")
    return X


def size_of(sequences):
    """Number of token ids (of the vocabulary, or else up to the largest token) and of features.

    Without a vocabulary, a token far larger than codes are many is refused.
    """
    n_ids = int(sequences.tokens.max(initial=UNKNOWN)) + 1
    if sequences.vocabulary is not None:
        n_ids = sequences.vocabulary.size
    elif n_ids > _MOST_IDS:
        raise ValueError(
            f"X has token ids up to {n_ids - 1}. Without a vocabulary every id up to the largest "
            f"has an embedding, and ids below {_MOST_IDS} are accepted. Number the codes from 2 on "
            f"without gaps, as VisitSequenceTransformer does."
        )
    features = sequences.features
    return {"n_ids": n_ids, "n_features": 0 if features is None else features.shape[1]}


def known_tokens(sequences, n_ids):
    """Sequences in which tokens from `n_ids` on are unknown."""
    if sequences.tokens.max(initial=UNKNOWN) < n_ids:
        return sequences
    other = copy(sequences)
    other.tokens = np.where(sequences.tokens < n_ids, sequences.tokens, np.int32(UNKNOWN))
    return other


def refuse_other_input(name, sequences, vocabulary, features, estimator):
    """Raise for sequences of another vocabulary, or with other features, than those of a fit."""
    if None not in (sequences.vocabulary, vocabulary) and sequences.vocabulary != vocabulary:
        raise ValueError(
            f"{name} has another vocabulary (size {sequences.vocabulary.size}) than this "
            f"{estimator} was fitted with (size {vocabulary.size}). Transform {name} with the "
            f"transformer that was fitted with it, best in one Pipeline."
        )
    if sequences.feature_names != features:
        raise ValueError(
            f"{name} has the features {sequences.feature_names}, but this {estimator} was fitted "
            f"with {features}. Transform {name} with the transformer that was fitted with it, best "
            f"in one Pipeline."
        )


def refuse_nonfinite(outputs):
    """Raise if outputs of a network are not finite."""
    if not np.isfinite(outputs).all():
        raise ValueError(
            "The network's outputs are not finite: its weights are too large, or not finite, as "
            "after a call to partial_fit that diverged. Fit it anew, with a lower lr."
        )


def refuse_features(sequences, what):
    """Raise for sequences with features, which are known at the prediction, not at a visit."""
    if sequences.features is not None:
        raise ValueError(
            f"{what} would look ahead: the features {sequences.feature_names} are known at the "
            f"prediction time, not at each visit. Leave them out of Cohort(..., features=[...]); "
            f"what never changes can be a static event."
        )


def as_batch(sequences, times=None):
    """A `VisitBatch` of sequences, with the times of their visits where they are read."""
    return VisitBatch(
        torch.from_numpy(sequences.tokens.astype(np.int64)),
        torch.from_numpy(sequences.visit_offsets),
        torch.from_numpy(sequences.sample_offsets),
        None if times is None else torch.from_numpy(times),
        None if sequences.features is None else torch.from_numpy(sequences.features),
    )


def batches_by_length(lengths, batch_size, most=None):
    """Positions of samples, in batches of similar length that need little padding.

    Long histories share a batch with fewer others, so that no batch takes much more memory than the
    longest history alone: its lengths sum to `most`, by default as many visits as fit into memory.
    """
    most = _MOST_VISITS if most is None else most
    order = lengths.argsort(kind="stable")
    n_before = offsets_from_lengths(lengths[order])
    batches, start = [], 0
    while start < len(order):
        n_fitting = np.searchsorted(n_before, n_before[start] + most, side="right") - 1
        # One at least, whatever the parameter has become since it was checked.
        stop = max(start + 1, min(start + batch_size, n_fitting))
        batches.append(order[start:stop])
        start = stop
    return batches


def read_times(sequences, by_visit):
    """Gap before each visit, and time to the prediction after it: float32 ndarray (n_visits, 2).

    `by_visit` says whether predictions are made as of every visit. Raises if times are missing or
    exceed the range of 32-bit floats.
    """
    waits = sequences.waits_by_visit() if by_visit else sequences.times_to_prediction
    times = np.stack([sequences.time_gaps, waits], axis=1)
    if n_beyond := np.count_nonzero(~(times <= np.finfo(np.float32).max).all(axis=1)):
        raise ValueError(
            f"time_gaps=True reads the time between visits, and to the prediction, as 32-bit "
            f"floats; X has {n_beyond} visit(s) with times beyond what these hold. Give times in a "
            f"coarser unit, such as days, or set time_gaps=False."
        )
    return times.astype(np.float32)
