"""Matrices of how often each sample has each code."""

import numpy as np
from scipy import sparse

from ..utils import GrowingArray, counting_sort, offsets_from_lengths, run_starts
from ._vocabulary import N_SPECIAL


def count_tokens(sequences, last_visits=(), recent=()):
    """Count the tokens of each sample by code: in all visits, the last ones, and recent ones.

    Each number `k` in `last_visits` adds a block of columns that counts the last `k` visits, and
    each array in `recent` one that counts the visits it marks; neither counts static visits. The
    result is a CSR matrix of shape (n_samples, n_codes * n_blocks).
    """
    n_samples, n_codes = len(sequences), sequences.vocabulary.size - N_SPECIAL
    n_columns = n_codes * (1 + len(last_visits) + len(recent))
    n_tokens = np.diff(sequences.visit_offsets[sequences.sample_offsets])
    row = np.repeat(np.arange(n_samples, dtype=np.int32), n_tokens)
    column = sequences.tokens - N_SPECIAL
    is_known = column >= 0
    rows, columns = [row[is_known]], [column[is_known]]
    last = [sequences._visits_to_come() < k for k in last_visits]
    for i, is_marked in enumerate([*last, *recent], start=1):
        is_counted = np.repeat(is_marked & ~sequences.is_static, np.diff(sequences.visit_offsets))
        rows.append(row[is_known & is_counted])
        columns.append(column[is_known & is_counted] + i * n_codes)
    return _count_pairs(np.concatenate(rows), np.concatenate(columns), (n_samples, n_columns))


def stack(matrices):
    """Put CSR matrices one below the other, as they come."""
    counts, column, n_in_row = GrowingArray(), GrowingArray(), GrowingArray()
    for matrix in matrices:
        counts.append(matrix.data)
        column.append(matrix.indices)
        n_in_row.append(np.diff(matrix.indptr))
    offsets = offsets_from_lengths(n_in_row.finish())
    shape = len(offsets) - 1, matrix.shape[1]
    return sparse.csr_matrix((counts.finish(), column.finish(), offsets), shape=shape)


def _count_pairs(row, column, shape):
    """How often each pair of a row and a column comes, as a CSR matrix; rows are in blocks."""
    # Rows stay in order within each column, and then columns within each row.
    row, offsets = counting_sort(column, row, shape[::-1])
    starts = run_starts(row)
    starts[offsets[:-1][offsets[:-1] < len(starts)]] = True
    first = np.flatnonzero(starts)
    counts = np.diff(first, append=len(starts)).astype(np.float64)
    offsets = offsets_from_lengths(starts)[offsets]
    return sparse.csc_matrix((counts, row[first], offsets), shape=shape).tocsr()


def is_recent(cohort, sequences, window):
    """Whether each visit of a cohort's sequences ends within a window before the prediction.

    In a whole history, the window is one before the last event of the sample. The result for a
    static visit is arbitrary.
    """
    sample = np.repeat(np.arange(len(cohort)), sequences.lengths)
    return cohort.is_recent(window, sequences.visit_times[:, 1], sample)
