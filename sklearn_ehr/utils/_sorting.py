"""Sorting of rows by several keys, and the distinct values of a column."""

from collections import ChainMap
from itertools import zip_longest

import numpy as np
import pandas as pd
from scipy import sparse

from ._ragged import run_starts
from ._threads import map_in_threads

_ROWS_PER_PART = 2**20
_NUMBERS_PER_PART = 2**18
_TEXTS = ("string[pyarrow]", "large_string[pyarrow]", "string_view[pyarrow]")


def order_by(*keys):
    """Stable order of rows by several keys, the first one most significant.

    Keys are integers, booleans, floats (NaN last) or datetimes (NaT first). The result is that of
    `numpy.lexsort` with the keys reversed. This is a radix sort that begins with the least
    significant digit. A digit has as many bits as fit into 64 bits together with the position of a
    row: numpy sorts such integers several times faster than it runs `argsort`.
    """
    keys = [as_integers(key) for key in keys]
    return np.arange(len(keys[0])) if is_ascending(*keys) else _sort(keys)


def is_ascending(*keys):
    """Whether rows are already in order by keys such as `order_by` takes."""
    keys = [as_integers(key) for key in keys]
    # If the first key does not ascend, a few rows are usually enough to see it.
    head = keys[0][:100]
    if (head[1:] < head[:-1]).any():
        return False
    tied = np.ones(max(len(keys[0]) - 1, 0), dtype=bool)
    for key in keys:
        if (tied & (key[1:] < key[:-1])).any():
            return False
        tied &= key[1:] == key[:-1]
    return True


def is_last_of_equals(*keys):
    """True for rows that no later row equals in all keys, which are those of `order_by`."""
    keys = [as_integers(key) for key in keys]
    if is_ascending(*keys):
        return np.roll(run_starts(*keys), -1)
    order = _sort(keys)
    is_last = np.empty(len(order), dtype=bool)
    is_last[order] = np.roll(run_starts(*(key[order] for key in keys)), -1)
    return is_last


def deal(bucket, columns, *, ids):
    """Sort rows by bucket, and keep their order within each bucket: a counting sort.

    `columns` is a dict of numbers or datetimes, and `ids` names two of them that are non-negative
    integers. Returns the sorted columns, and where each of the buckets starts and the last one
    ends.
    """
    n_buckets = int(bucket.max()) + 1

    def move(id_, value):
        """Sort two columns at once, as the indices and the values of a sparse matrix."""
        indices, data = columns[id_], columns[value]
        stored = data.view(np.int64) if data.dtype.kind == "M" else data
        shape = n_buckets, int(indices.max()) + 1
        matrix = sparse.coo_array((stored, (bucket, indices)), shape=shape)
        # Otherwise scipy would add up the values of equal indices.
        matrix.has_canonical_format = True
        matrix = matrix.tocsr()
        return {id_: matrix.indices, value: matrix.data.view(data.dtype)}, matrix.indptr

    values = [role for role in columns if role not in ids]
    pairs = zip(*zip_longest(ids, values, fillvalue=ids[0]), strict=True)
    moved, starts = zip(*map_in_threads(move, *pairs), strict=True)
    return dict(ChainMap(*moved)), starts[0]


def factorise(values):
    """Position of each value among the distinct ones, and an Index of these, ascending.

    Positions are int32, and -1 for null.
    """
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iu" and len(values):
        numbers = values.to_numpy()
        low, high = _bounds(numbers)
        span = int(high) - int(low)
        # If the numbers are close together, an array of marks is faster than a hash table.
        if span < 4 * len(numbers):
            return _factorise_dense(numbers, low, span)
    starts = range(0, max(len(values), 1), _ROWS_PER_PART)
    array = values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array
    parts = [array[start : start + _ROWS_PER_PART] for start in starts]
    of_arrow = isinstance(values.dtype, pd.ArrowDtype) and str(values.dtype) in _TEXTS
    factorise_part = _factorise_texts if of_arrow else pd.factorize
    positions, tables = zip(*map_in_threads(factorise_part, parts), strict=True)
    # Series keep objects as they are, while Index.append may convert large integers to floats.
    series = [pd.Series(part, dtype=part.dtype) for part in tables]
    rank, table = pd.factorize(pd.concat(series), sort=True)
    ranks = np.split(rank.astype(np.int32), np.cumsum([len(part) for part in tables])[:-1])
    # Position -1 selects the last rank, which is the -1 for null.
    ranks = [np.append(part, np.int32(-1)) for part in ranks]
    return np.concatenate(map_in_threads(np.take, ranks, positions)), table


def _factorise_texts(part):
    """What `pandas.factorize` does, without its copies, and for views of strings too."""
    import pyarrow as pa

    texts = pa.array(part)
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    encoded = texts.dictionary_encode()
    position = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    table = encoded.dictionary.cast(pa.large_string())
    return position, pd.array(table, dtype=pd.ArrowDtype(pa.large_string()))


def _parts_of(numbers):
    return [slice(i, i + _NUMBERS_PER_PART) for i in range(0, len(numbers), _NUMBERS_PER_PART)]


def _bounds(numbers):
    """Lowest and highest number, in one pass over memory."""
    parts = [numbers[part] for part in _parts_of(numbers)]
    lows, highs = zip(*map_in_threads(lambda part: (part.min(), part.max()), parts), strict=True)
    return min(lows), max(highs)


def _factorise_dense(numbers, low, span):
    low = low.astype(np.uint64)
    is_present = np.zeros(span + 1, dtype=bool)
    position = np.empty(len(numbers), dtype=np.int32)
    parts = _parts_of(numbers)

    def place(part):
        # Unsigned 64-bit integers wrap around, so that numbers of any width and sign fit.
        return (numbers[part].astype(np.uint64) - low).view(np.int64)

    def mark(part):
        is_present[place(part)] = True

    def fill(part):
        position[part] = place(part) if has_no_gap else rank[place(part)]

    map_in_threads(mark, parts)
    has_no_gap = is_present.all()
    rank = np.cumsum(is_present, dtype=np.int32) - np.int32(1)
    map_in_threads(fill, parts)
    table = (np.flatnonzero(is_present).astype(np.uint64) + low).astype(numbers.dtype)
    return position, pd.Index(table)


def _sort(keys):
    n_rows = len(keys[0])
    position_bits = np.uint64((n_rows - 1).bit_length())
    order, positions = None, np.arange(n_rows, dtype=np.uint64)
    low_bits = (np.uint64(1) << position_bits) - np.uint64(1)
    for i, digit in enumerate(_digits(keys, 64 - int(position_bits))):
        packed = digit if i == 0 else digit[order]
        packed <<= position_bits
        packed |= positions
        packed.sort()
        packed &= low_bits
        step = packed.view(np.int64)
        order = step if i == 0 else order[step]
    return order


def _digits(keys, n_bits):
    """Digits of `n_bits` each, cut from the joined bits of all keys, least significant first."""
    digit, used = None, 0
    for key in reversed(keys):
        low = key.min()
        left = (int(key.max()) - int(low)).bit_length()
        # A difference of two int64 may need 64 bits, which unsigned integers have.
        rest = key.astype(np.int64).view(np.uint64)
        rest -= np.int64(low).view(np.uint64)
        while left:
            taken = min(left, n_bits - used)
            part = rest
            if taken < left:
                part = rest & np.uint64(2**taken - 1)
                rest >>= np.uint64(taken)
            if digit is None:
                digit = part
            else:
                part <<= np.uint64(used)
                digit |= part
            used, left = used + taken, left - taken
            if used == n_bits:
                yield digit
                digit, used = None, 0
    if digit is not None:
        yield digit


def as_integers(key):
    """Integers in the same order as the keys, with NaN last and NaT first."""
    if key.dtype.kind in "Mm":
        return key.view(np.int64)
    if key.dtype.kind != "f":
        return key
    # Adding zero turns -0.0 into 0.0, and np.where replaces any NaN by the one that sorts last.
    key = np.where(np.isnan(key), np.nan, key + 0.0).astype(np.float64)
    bits = key.view(np.int64)
    return np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)


def counting_sort(key, value, shape):
    """Sort pairs by a key, and keep their order within each key.

    Keys and values are integers from 0 up, and `shape` has the number of either. Returns the sorted
    values, and where those of each key start and the last ones end.
    """
    matrix = sparse.coo_array((np.zeros(len(key), np.int8), (key, value)), shape=shape)
    # Without this, scipy would add up the pairs that come more than once.
    matrix.has_canonical_format = True
    matrix = matrix.tocsr()
    return matrix.indices, matrix.indptr
