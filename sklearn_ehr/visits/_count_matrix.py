"""How often each sample has each code."""

import numpy as np
from scipy import sparse

from ..utils import map_in_threads, offsets_from_lengths, run_starts
from ._vocabulary import N_SPECIAL


def count_tokens(sequences, last_visits=(), windows=()):
    """Count each code's tokens per sample, over the history, the last visits, and the last days.

    Parameters
    ----------
    sequences : VisitSequences
        With their vocabulary.
    last_visits : sequence of int, default=()
    windows : sequence of float, default=()
        In days, or the unit of numeric times. One more block of columns for each of both.

    Returns
    -------
    CSR matrix of shape (n_samples, n_codes * n_blocks), float64
    """
    counts = map_in_threads(
        lambda block: _count_block(block, last_visits, windows), sequences.blocks()
    )
    return sparse.vstack(counts, format="csr")


def _count_block(sequences, last_visits, windows):
    n_samples, n_codes = len(sequences), sequences.vocabulary.size - N_SPECIAL
    n_columns = n_codes * (1 + len(last_visits) + len(windows))
    # A cell of the matrix is one integer, as narrow as may be: it sorts the faster.
    dtype = np.min_scalar_type(max(n_samples, 1) * n_columns)
    n_tokens = np.diff(sequences.visit_offsets[sequences.sample_offsets])
    cell = np.repeat(np.arange(n_samples, dtype=dtype) * n_columns, n_tokens)
    cell += (sequences.tokens - N_SPECIAL).astype(dtype)
    is_known = sequences.tokens >= N_SPECIAL
    cells = [cell[is_known]]
    recent = [sequences._visits_to_come() < k for k in last_visits]
    if len(windows):
        age = sequences._age_of_visits()
        recent += [age < window for window in windows]
    for i, is_recent in enumerate(recent, start=1):
        is_counted = np.repeat(is_recent & ~sequences.is_static, np.diff(sequences.visit_offsets))
        cells.append(cell[is_known & is_counted] + i * n_codes)
    cells = np.sort(np.concatenate(cells))
    starts = np.flatnonzero(run_starts(cells))
    counts = np.diff(starts, append=len(cells)).astype(np.float64)
    cells = cells[starts]
    # numpy divides by one number much faster than it takes remainders.
    row = cells // n_columns
    column = (cells - row * n_columns).astype(np.int64)
    offsets = offsets_from_lengths(np.bincount(row.astype(np.int64), minlength=n_samples))
    return sparse.csr_matrix((counts, column, offsets), shape=(n_samples, n_columns))
