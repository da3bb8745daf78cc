"""Checks of a training that goes on between calls of `partial_fit`."""

import warnings

import numpy as np

# What a network is built with, or its training goes on with.
FIXED = (
    "embedding_dim",
    "embedding_init",
    "hidden_dim",
    "num_layers",
    "aggregation",
    "mlp_dim",
    "bidirectional",
    "time_gaps",
    "average",
    "device",
    "callbacks",
    "random_state",
)
# Beyond, the squares of gradients do not fit into 32-bit floats.
_LARGEST_WEIGHT = 1e15


def fixed_parameters(estimator):
    """Parameters that must stay as they are between calls, dict of name to value."""
    return {name: getattr(estimator, name) for name in FIXED if hasattr(estimator, name)}


def refuse_changes(estimator, started_with):
    """Raise if a parameter that must stay as it is has changed since the network was built."""
    now = fixed_parameters(estimator)
    if changed := [name for name, value in started_with.items() if not _is_same(value, now[name])]:
        raise ValueError(
            f"partial_fit continues training the existing network, so {', '.join(changed)} cannot "
            f"be changed between calls. Set back what was changed, or call fit to start anew."
        )


def warn_of_unknown(sequences, n_ids):
    """Warn of token ids from `n_ids` on, which the network does not know; say if there are any."""
    tokens = sequences.tokens
    n_unknown = len(np.unique(tokens[tokens >= n_ids]))
    if n_unknown:
        warnings.warn(
            f"{n_unknown} code(s) of X are unknown to the network, as the first call had token "
            f"ids up to {n_ids - 1} only. They are all read as the unknown code (1). Make "
            f"sequences with a VisitSequenceTransformer that was fitted on all codes.",
            UserWarning,
            stacklevel=5,
        )
    return n_unknown > 0


def refuse_unscaled(weight):
    """Raise for weights with which 32-bit floats cannot train, as they are not scaled here."""
    largest = weight.max()
    if not 1 / _LARGEST_WEIGHT < largest < _LARGEST_WEIGHT:
        raise ValueError(
            "sample_weight, times class_weight, is too large or too small. partial_fit takes "
            "weights as they are, because they also say how much a call counts beside others, and "
            "trains in 32-bit floats. Give weights around 1."
        )


def _is_same(old, new):
    try:
        return old is new or bool(old == new)
    except ValueError:
        # Such as of frames.
        return False
