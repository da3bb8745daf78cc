"""Ragged arrays: ranges, offsets, and the ways scikit-learn indexes samples."""

from itertools import pairwise
from numbers import Integral

import numpy as np

_ELEMENTS_PER_BLOCK = 2**19


def offsets_from_lengths(lengths):
    """Offsets of consecutive ranges with these lengths: one more than there are lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def split_by_sample(values, offsets):
    """Object array with one array of values per sample, cut at the offsets."""
    parts = np.split(values, offsets[1:-1])
    # np.array would stack parts of equal length.
    return np.fromiter(parts[: len(offsets) - 1], dtype=object, count=len(offsets) - 1)


def index_ranges(starts, stops):
    """Index of the ranges ``[start, stop)``: a slice if they are adjacent, else integers."""
    if len(starts) and (starts[1:] == stops[:-1]).all():
        return slice(starts[0], stops[-1])
    lengths = stops - starts
    offsets = offsets_from_lengths(lengths)
    integers = np.repeat(starts - offsets[:-1], lengths)
    integers += np.arange(offsets[-1])
    return integers


def concatenate_ranges(starts, stops):
    """Integers in the ranges ``[start, stop)``, one range after another."""
    index = index_ranges(starts, stops)
    return np.arange(index.start, index.stop) if isinstance(index, slice) else index


def cover_ranges(starts, stops, n):
    """True for the integers below `n` that lie in any of the ranges ``[start, stop)``."""
    n_open = np.zeros(n + 1, dtype=np.int32)
    np.add.at(n_open, starts.ravel(), 1)
    np.subtract.at(n_open, stops.ravel(), 1)
    return np.cumsum(n_open, out=n_open)[:n] > 0


def run_starts(*keys):
    """True where any of these arrays of equal length differs from its previous element."""
    starts = np.zeros(len(keys[0]), dtype=bool)
    starts[:1] = True
    for key in keys:
        starts[1:] |= key[1:] != key[:-1]
    return starts


def search_ranges(values, starts, stops, needles, side):
    """Search each sorted range ``[start, stop)`` of values for its own needle.

    This is `numpy.searchsorted` for many ranges. All of them are searched together, at a cost of
    ``len(starts) * log2(longest range)``.
    """
    found = starts.copy()
    below = np.less_equal if side == "right" else np.less
    # Every position is a sum of powers of two, tried from the largest one down.
    step = 1 << int((stops - starts).max(initial=0)).bit_length()
    while step := step >> 1:
        fits = np.flatnonzero(stops - found >= step)
        is_below = below(values[found[fits] + (step - 1)], needles[fits])
        found[fits] += step * is_below
    return found


def slices_of_about(n_before):
    """Slices of consecutive samples, each small enough for the processor's cache.

    `n_before` is the number of elements before each sample.
    """
    first = np.flatnonzero(run_starts(n_before // _ELEMENTS_PER_BLOCK))
    return [slice(start, stop) for start, stop in pairwise([0, *first[1:], len(n_before)])]


def resolve_index(key, n_samples, owner):
    """Non-negative positions of samples, from any index that scikit-learn uses for them.

    `key` is an integer, a slice, an array-like of integers or booleans, or a tuple ``(key, ...)``.
    `owner` is the name of the indexed class, for error messages.
    """
    if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
        key = key[0]
    if isinstance(key, tuple):
        raise IndexError(f"{owner} has one dimension, its samples; got {len(key)} indices.")
    if isinstance(key, slice):
        return np.arange(*key.indices(n_samples))
    if isinstance(key, Integral) and not isinstance(key, bool | np.bool_):
        key = [key]
    try:
        positions = np.asarray(key)
    except ValueError:
        raise IndexError(
            f"{owner} is indexed by samples, not by a list of several lengths."
        ) from None
    if positions.ndim != 1 or (positions.size and positions.dtype.kind not in "iub"):
        raise IndexError(
            f"{owner} is indexed by samples with an integer, a slice, or a one-dimensional array "
            f"of integers or booleans; got {type(key).__name__} of dtype {positions.dtype} and "
            f"{positions.ndim} dimension(s)."
        )
    if positions.dtype.kind == "b":
        if len(positions) != n_samples:
            raise IndexError(
                f"A boolean mask over {owner} needs one value per sample: got {len(positions)} "
                f"values for {n_samples} samples."
            )
        return np.flatnonzero(positions)
    positions = positions.astype(np.int64)
    if ((positions < -n_samples) | (positions >= n_samples)).any():
        raise IndexError(f"Position out of bounds for {owner} with {n_samples} samples.")
    return np.where(positions < 0, positions + n_samples, positions)


class _Shape(tuple):
    """Shape of samples without columns, which says what to do where columns are asked for."""

    message = ""

    def __getitem__(self, axis):
        try:
            return super().__getitem__(axis)
        except IndexError:
            raise IndexError(self.message) from None


class SampleIndexing:
    """Base class of objects that scikit-learn accepts as `X` although they are not arrays.

    It has a length and a shape, and is indexed by sample. A subclass defines `_take`, which selects
    samples by position, and `_way_out`, which says how to get an array.
    """

    _way_out = ""

    @property
    def shape(self):
        """Tuple of one integer, the number of samples."""
        shape = _Shape([len(self)])
        # ColumnTransformer and partial_dependence read shape[1] before they ask for an array.
        shape.message = self._no_array()
        return shape

    def __getitem__(self, key):
        return self._take(resolve_index(key, len(self), type(self).__name__))

    def __array__(self, dtype=None, copy=None):
        raise TypeError(self._no_array())

    def _no_array(self):
        name = type(self).__name__
        return f"{name} holds ragged patient histories, not an array. {self._way_out}"
