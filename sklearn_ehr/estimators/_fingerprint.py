"""Fingerprint of a fit: of its data, parameters, and random numbers."""

from collections.abc import Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

import numpy as np
import pandas as pd

from ..utils import as_plain, checksum
from ._device import choose_device

# They do not change what is learnt.
_WITHOUT_EFFECT = ("checkpoint", "verbose")
_OF_CODE = ("co_code", "co_consts", "co_names", "co_varnames")
_OF_FUNCTION = ("__code__", "__defaults__", "__kwdefaults__", "__closure__")


def fingerprint_of(estimator, samples, validation, seeds):
    """SHA-256 of what a fit depends on, as text.

    Without a `random_state`, the seeds are not part of it: the fit may be one that was begun with
    others. Raises for a parameter whose content cannot be told.
    """
    parameters = {}
    for name, value in estimator.get_params(deep=False).items():
        if name not in _WITHOUT_EFFECT:
            try:
                parameters[name] = _described(value)
            except (TypeError, RecursionError) as error:
                raise ValueError(
                    f"checkpoint cannot tell whether {name} is the same when fit is called again: "
                    f"{error}. Give {name} without such objects, or leave checkpoint=None."
                ) from error
    parameters["device"] = choose_device(estimator.device)
    parameters["random_state"] = None if estimator.random_state is None else seeds
    data = [None if part is None else _parts_of(part) for part in (samples, validation)]
    return checksum([type(estimator).__name__, as_plain(parameters), data])


def _parts_of(samples):
    sequences, data = samples.sequences, samples.data
    vocabulary, groups = sequences.vocabulary, sequences.groups
    return _described(
        (
            sequences.tokens,
            sequences.visit_offsets,
            sequences.sample_offsets,
            sequences.features,
            data.target,
            data.weight,
            data.times,
            samples.y,
            samples.weight,
            None if vocabulary is None else vocabulary.codes,
            None if groups is None else np.asarray(groups),
        )
    )


def _described(value):
    """A value by its content: functions by their code, other objects as pickle would take them."""
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    if isinstance(value, Mapping):
        return [_described([key, item]) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return sorted(checksum(_described(item)) for item in value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        plain = as_plain(value)
        return plain if plain["kind"] == "texts" else [value.shape, _described(value.tolist())]
    if isinstance(value, (type, BuiltinFunctionType, ModuleType, np.ufunc)):
        return [getattr(value, "__module__", None), getattr(value, "__qualname__", repr(value))]
    if isinstance(value, FunctionType):
        parts = [getattr(value, name) for name in _OF_FUNCTION]
        return [value.__module__, value.__qualname__, _described(parts)]
    if isinstance(value, CodeType):
        return [_described(getattr(value, name)) for name in _OF_CODE]
    if type(value).__name__ == "cell":
        return _described(value.cell_contents)
    if isinstance(value, np.generic):
        # A search may draw numpy's numbers, which train the same.
        return _described(value.item())
    if isinstance(value, (bool, int, float, str, bytes, type(None), np.ndarray)):
        return value
    if isinstance(value, pd.DataFrame):
        return as_plain(value)
    if hasattr(value, "__array__"):
        return [_described(type(value)), _described(np.asarray(value))]
    return [_described(part) for part in _reduced(value)]


def _reduced(value):
    """The parts that pickle makes of an object; raises if it cannot."""
    reduced = value.__reduce_ex__(2)
    if isinstance(reduced, str):
        return [reduced]
    # The last two may be iterators over items.
    return [*reduced[:3], *(None if part is None else list(part) for part in reduced[3:5])]
