"""Which codes a model knows, and by which token ids."""

from numbers import Integral

import numpy as np
import pandas as pd

from ..utils import key_kind, map_in_threads, run_starts

PADDING = 0
UNKNOWN = 1
N_SPECIAL = 2


class Vocabulary:
    """Codes and their token ids: 0 is padding, 1 any unknown code, from 2 on the codes ascending.

    Parameters
    ----------
    codes : array-like of shape (n_codes,)
        Distinct codes; they are sorted.

    Attributes
    ----------
    codes : ndarray of shape (n_codes,)
        The codes, ascending: ``codes[i]`` has the token id ``i + 2``.
    size : int
        Number of token ids, padding and unknown included.

    Examples
    --------
    >>> from sklearn_ehr import Vocabulary
    >>> vocabulary = Vocabulary(["I10", "E11"])
    >>> vocabulary.encode(["E11", "I10", "Z99"])
    array([2, 3, 1], dtype=int32)
    >>> vocabulary.decode([2, 3])
    array(['E11', 'I10'], dtype=object)
    >>> vocabulary.size
    4
    """

    def __init__(self, codes):
        index = _as_index(codes)
        if index.has_duplicates or index.hasnans:
            raise ValueError("The codes of a vocabulary must be distinct and not null.")
        self.codes = index.sort_values().to_numpy()

    @classmethod
    def from_cohort(cls, cohort, *, min_frequency=10, max_vocabulary=None):
        """Learn the codes of a cohort's visible events.

        Parameters
        ----------
        cohort : Cohort
        min_frequency : int or float, default=10
            Number of patients that must have a code, or their share if a float.
        max_vocabulary : int or None, default=None
            Keep at most this many codes, the most frequent; ties go by code.

        Returns
        -------
        Vocabulary

        Raises
        ------
        ValueError
            If no code is frequent enough.
        """
        frequency = _patients_per_code(cohort)
        is_count = isinstance(min_frequency, Integral)
        # The share is divided out, not multiplied: 7 of 100 is 0.07, but 0.07 * 100 is above 7.
        reached = frequency if is_count else frequency / max(cohort.n_patients, 1)
        kept = np.flatnonzero((reached >= min_frequency) & (frequency > 0))
        if not kept.size:
            raise ValueError(
                f"The vocabulary is empty: no code is known of at least min_frequency="
                f"{min_frequency} of the {cohort.n_patients} training patients; the most frequent "
                f"one is known of {frequency.max(initial=0)}. Lower min_frequency, or check the "
                f"prediction times."
            )
        if max_vocabulary is not None:
            kept = kept[np.argsort(-frequency[kept], kind="stable")[:max_vocabulary]]
        return cls(cohort.event_table.codes[kept])

    @property
    def size(self):
        """Number of token ids, padding and unknown included."""
        return len(self.codes) + N_SPECIAL

    def encode(self, codes):
        """Token ids of codes.

        Parameters
        ----------
        codes : array-like of shape (n,)

        Returns
        -------
        ndarray of shape (n,), int32

        Raises
        ------
        TypeError
            If the codes are of another type than the vocabulary's.
        """
        codes = _as_index(codes)
        kinds = key_kind(codes), key_kind(self.codes)
        if len(codes) and kinds[0] != kinds[1]:
            raise TypeError(
                f"The codes are of type {kinds[0]}, those of the vocabulary of type {kinds[1]}. "
                f"Convert them with .astype, as the training events were."
            )
        position = pd.Index(self.codes).get_indexer(codes)
        return np.where(position < 0, UNKNOWN, position + N_SPECIAL).astype(np.int32)

    def decode(self, tokens):
        """Codes of token ids.

        Parameters
        ----------
        tokens : array-like of shape (n,)
            Ids from 2 on; padding and unknown stand for no single code.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            If an id stands for no code.
        """
        tokens = np.asarray(tokens)
        if ((tokens < N_SPECIAL) | (tokens >= self.size)).any():
            raise ValueError(
                f"Only token ids from {N_SPECIAL} to {self.size - 1} stand for a code; 0 is "
                f"padding and 1 any unknown code. Select tokens >= {N_SPECIAL} first."
            )
        return self.codes[tokens - N_SPECIAL]

    def __eq__(self, other):
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return np.array_equal(self.codes, other.codes)

    __hash__ = None

    def __repr__(self):
        return f"Vocabulary(size={self.size})"


def _as_index(codes):
    index = pd.Index(codes)
    # Categories sort in an order of their own, and hide what kind of codes they are.
    return pd.Index(np.asarray(index)) if isinstance(index, pd.CategoricalIndex) else index


def _patients_per_code(cohort):
    """Number of distinct patients that have each code among their visible events."""
    n_codes = len(cohort.event_table.codes)

    def count(block):
        event, sample = block.visible_positions()
        patient = np.cumsum(run_starts(block.group_positions)) - 1
        # As narrow as may be, and sorted, not np.unique, which hashes: several times faster.
        dtype = np.min_scalar_type((len(patient) + 1) * n_codes)
        pair = (patient.astype(dtype) * n_codes)[sample] + block.event_table.code[event].astype(
            dtype
        )
        pair.sort()
        pair = pair[run_starts(pair)]
        # numpy divides by one number much faster than it takes remainders.
        code = pair - pair // n_codes * n_codes
        return np.bincount(code.astype(np.int64), minlength=n_codes)

    by_patient = cohort[np.argsort(cohort.group_positions, kind="stable")]
    return sum(map_in_threads(count, by_patient.blocks()))
