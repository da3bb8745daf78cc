"""Cells of tables that are too small to be shown, and those that would reveal them."""

import numpy as np

from ..utils import MIN_PATIENTS

SMALL = f"<{MIN_PATIENTS}"
_MOST_LEVELS = 12


def count_distinct(patient):
    """Number of distinct patients, given as integers."""
    return np.count_nonzero(np.bincount(patient)) if len(patient) else 0


def count_patients(patient, row, column, shape):
    """Number of distinct patients in each cell of a table."""
    cell = row.astype(np.int64) * shape[1] + column
    n_patients = int(patient.max(initial=0)) + 1
    cells = np.unique(cell * n_patients + patient) // n_patients
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)


def pool_levels(level, n_levels, column, n_columns, patient):
    """Choose the levels of a variable to merge, so that no cell of its table is small.

    Parameters
    ----------
    level, column, patient : ndarray of shape (n_samples,), integer
    n_levels, n_columns : int

    Returns
    -------
    is_pooled, is_rare : ndarray of shape (n_levels,), bool
        Whether each level is merged with the others of which this is true, and whether that is for
        its own sake: as it has a small cell, or is not one of the 12 most frequent ones. If fewer
        than two rows would be left, None is returned instead.
    """
    counts = count_patients(patient, level, column, (n_levels, n_columns))
    order = np.argsort(counts.sum(axis=1), kind="stable")
    is_rare = counts.min(axis=1) < MIN_PATIENTS
    is_rare[order[:-_MOST_LEVELS]] = True
    is_pooled = is_rare.copy()
    while is_pooled.any() and not is_pooled.all():
        row = np.where(is_pooled[level], 0, 1)
        if count_patients(patient, row, column, (2, n_columns))[0].min() >= MIN_PATIENTS:
            break
        is_pooled[order[~is_pooled[order]][0]] = True
    n_rows = n_levels - is_pooled.sum() + is_pooled.any()
    return (is_pooled, is_rare) if n_rows >= 2 else None
