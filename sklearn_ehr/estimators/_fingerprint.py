"""Fingerprint of a fit: of its data, parameters, and random numbers."""

import numpy as np

from ..utils import as_plain, checksum
from ._device import choose_device

# They do not change what is learnt.
_WITHOUT_EFFECT = ("checkpoint", "verbose")


def fingerprint_of(estimator, samples, validation, seeds):
    """SHA-256 of what a fit depends on, as text.

    Without a `random_state`, the seeds are not part of it: the fit may be one that was begun with
    others. Of functions, only the names count.
    """
    parameters = {
        name: _described(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in _WITHOUT_EFFECT
    }
    parameters["device"] = choose_device(estimator.device)
    parameters["random_state"] = None if estimator.random_state is None else seeds
    return checksum(
        [
            type(estimator).__name__,
            as_plain(parameters),
            [None if part is None else _parts_of(part) for part in (samples, validation)],
        ]
    )


def _parts_of(samples):
    sequences, data = samples.sequences, samples.data
    vocabulary, groups = sequences.vocabulary, sequences.groups
    arrays = (
        sequences.tokens,
        sequences.visit_offsets,
        sequences.sample_offsets,
        sequences.features,
        data.target,
        data.weight,
        data.times,
        samples.weight,
        None if vocabulary is None else vocabulary.codes,
        None if groups is None else np.asarray(groups),
    )
    return as_plain(arrays)


def _described(value):
    """A parameter by its content: callbacks by their types and parameters, functions by name."""
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    if isinstance(value, type) or callable(value):
        return [
            getattr(value, name, type(value).__name__) for name in ("__module__", "__qualname__")
        ]
    if hasattr(value, "get_params"):
        parameters = value.get_params(deep=False).items()
        return [_described(type(value)), {name: _described(item) for name, item in parameters}]
    return value
