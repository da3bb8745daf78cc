"""Padded arrays of codes and their masks."""

from typing import NamedTuple

import numpy as np


class PaddedVisits(NamedTuple):
    """Padded arrays of codes and their masks, from `VisitSequences.to_padded`."""

    codes: np.ndarray
    mask: np.ndarray
    visit_mask: np.ndarray


def as_three_dimensional(codes):
    """Convert padded codes to an array of three dimensions, or raise."""
    try:
        array = np.asarray(codes)
        shape = f"of shape {getattr(codes, 'shape', array.shape)}"
    except ValueError:
        array, shape = None, "of arrays of unequal shapes"
    if array is None or array.ndim != 3:
        raise ValueError(
            f"Padded codes are one array of shape (n_samples, n_visits, n_codes); got a "
            f"{type(codes).__name__} {shape}. Pass what VisitSequenceTransformer makes, not "
            f"counts, or the codes of to_padded() alone."
        )
    return array


def as_mask(mask, shape, name):
    """Convert a mask to booleans, or raise."""
    mask = np.asarray(mask)
    if mask.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {mask.shape}.")
    if mask.dtype.kind not in "biu":
        raise TypeError(f"{name} must be boolean, got dtype {mask.dtype}.")
    return mask.astype(bool)
