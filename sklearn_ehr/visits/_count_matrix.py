"""Matrices of how often each sample has each code."""

import numpy as np
from scipy import sparse

from ..cohort import look_back
from ..utils import offsets_from_lengths, run_starts
from ._vocabulary import N_SPECIAL


def count_tokens(sequences, last_visits=(), windows=()):
    """Count the tokens of each sample by code: in all visits, the last ones, and recent ones.

    Parameters
    ----------
    sequences : VisitSequences
        Sequences with a vocabulary and, for windows, with times.
    last_visits : sequence of int, default=()
        Each number `k` adds a block of columns that counts the last `k` visits.
    windows : sequence of timedelta64, int or float, default=()
        Each length, as returned by `as_duration`, adds a block of columns that counts the visits
        ending within it before the prediction.

    Returns
    -------
    CSR matrix of shape (n_samples, n_codes * n_blocks), float64
    """
    n_samples, n_codes = len(sequences), sequences.vocabulary.size - N_SPECIAL
    n_columns = n_codes * (1 + len(last_visits) + len(windows))
    # A cell of the matrix is one integer, as narrow as possible, which makes sorting faster.
    dtype = np.min_scalar_type(max(n_samples, 1) * n_columns)
    n_tokens = np.diff(sequences.visit_offsets[sequences.sample_offsets])
    cell = np.repeat(np.arange(n_samples, dtype=dtype) * n_columns, n_tokens)
    cell += (sequences.tokens - N_SPECIAL).astype(dtype)
    is_known = sequences.tokens >= N_SPECIAL
    cells = [cell[is_known]]
    recent = [sequences._visits_to_come() < k for k in last_visits]
    recent += _within_windows(sequences, windows)
    for i, is_recent in enumerate(recent, start=1):
        is_counted = np.repeat(is_recent & ~sequences.is_static, np.diff(sequences.visit_offsets))
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


def _within_windows(sequences, windows):
    """For each window, whether each visit ends within it; a static visit may count as either.

    A window ends with the prediction or, for whole histories, with the last event of the sample.
    """
    if not len(windows):
        return []
    visit_ends = sequences.visit_times[:, 1]
    # In the unit of the events, so that their times compare with the starts of windows exactly.
    ends = sequences.prediction_times
    if ends is None:
        has_visits = sequences.lengths > 0
        ends = np.zeros(len(sequences), dtype=visit_ends.dtype)
        ends[has_visits] = visit_ends[sequences.sample_offsets[1:][has_visits] - 1]
    starts = [look_back(ends, window, "right") for window in windows]
    return [visit_ends > np.repeat(start, sequences.lengths) for start in starts]
