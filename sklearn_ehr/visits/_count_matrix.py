"""Matrices of how often each sample has each code."""

import numpy as np
from scipy import sparse

from ..utils import offsets_from_lengths, run_starts
from ._vocabulary import N_SPECIAL


def count_tokens(sequences, last_visits=(), recent=()):
    """Count the tokens of each sample by code: in all visits, the last ones, and recent ones.

    Parameters
    ----------
    sequences : VisitSequences
        Sequences with a vocabulary.
    last_visits : sequence of int, default=()
        Each number `k` adds a block of columns that counts the last `k` visits.
    recent : sequence of ndarrays of bool, shape (n_visits,), default=()
        Each adds a block of columns that counts the visits marked, of those that are not static.

    Returns
    -------
    CSR matrix of shape (n_samples, n_codes * n_blocks), float64
    """
    n_samples, n_codes = len(sequences), sequences.vocabulary.size - N_SPECIAL
    n_columns = n_codes * (1 + len(last_visits) + len(recent))
    # A cell of the matrix is one integer, as narrow as possible, which makes sorting faster.
    dtype = np.min_scalar_type(max(n_samples, 1) * n_columns)
    n_tokens = np.diff(sequences.visit_offsets[sequences.sample_offsets])
    cell = np.repeat(np.arange(n_samples, dtype=dtype) * n_columns, n_tokens)
    cell += (sequences.tokens - N_SPECIAL).astype(dtype)
    is_known = sequences.tokens >= N_SPECIAL
    cells = [cell[is_known]]
    last = [sequences._visits_to_come() < k for k in last_visits]
    for i, is_marked in enumerate([*last, *recent], start=1):
        is_counted = np.repeat(is_marked & ~sequences.is_static, np.diff(sequences.visit_offsets))
        cells.append(cell[is_known & is_counted] + i * n_codes)
    cells = np.sort(np.concatenate(cells))
    starts = np.flatnonzero(run_starts(cells))
    counts = np.diff(starts, append=len(cells)).astype(np.float64)
    cells = cells[starts]
    # Division by one number is much faster than the remainder.
    row = cells // n_columns
    column = (cells - row * n_columns).astype(np.int64)
    offsets = offsets_from_lengths(np.bincount(row.astype(np.int64), minlength=n_samples))
    return sparse.csr_matrix((counts, column, offsets), shape=(n_samples, n_columns))


def is_recent(cohort, sequences, window):
    """Whether each visit of a cohort's sequences ends within a window before the prediction.

    In a whole history, the window is one before the last event of the sample. The result for a
    static visit is arbitrary.
    """
    sample = np.repeat(np.arange(len(cohort)), sequences.lengths)
    return cohort.is_recent(window, sequences.visit_times[:, 1], sample)
