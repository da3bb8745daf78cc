"""Sums over the samples of drawn patients."""

import numpy as np


class PatientSums:
    """Sums over the samples of drawn patients.

    Parameters
    ----------
    patient : ndarray of shape (n_samples,)
    n_patients : int
    columns : sequence of ndarray of shape (n_samples,)
        What is summed.
    """

    def __init__(self, patient, n_patients, columns):
        sums = [np.bincount(patient, column, n_patients) for column in columns]
        self.by_patient = np.column_stack(sums)

    def __call__(self, counts):
        """Sums of each column, for each draw, of shape (n_columns, n_draws)."""
        return (counts.astype(np.float64) @ self.by_patient).T
