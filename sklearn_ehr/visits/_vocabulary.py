"""The codes that a model knows, and their token ids."""

from numbers import Integral

import numpy as np
import pandas as pd

from ..utils import (
    check_keys,
    counting_sort,
    key_kind,
    map_in_threads,
    offsets_from_lengths,
    run_starts,
    saved_by,
)
from ._event_codes import EventCodes

PADDING = 0
UNKNOWN = 1
N_SPECIAL = 2


@saved_by("codes")
class Vocabulary:
    """Mapping between codes and token ids.

    Id 0 is padding, id 1 stands for any unknown code, and the codes have the ids from 2 on.

    Parameters
    ----------
    codes : array-like of shape (n_codes,)
        Distinct codes, in any order.

    Attributes
    ----------
    codes : ndarray of shape (n_codes,)
        The codes, ascending; ``codes[i]`` has the token id ``i + 2``.
    size : int
        Number of token ids, including padding and unknown.

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
        check_keys(index.to_series(name="codes"))
        self.codes = index.sort_values().to_numpy()

    @classmethod
    def from_cohort(cls, cohort, *, min_frequency=10, max_vocabulary=None):
        """Learn the codes of the visible events of a cohort.

        Parameters
        ----------
        cohort : Cohort
        min_frequency : int or float, default=10
            Minimum number of patients with a code, or their share if a float. Where the cohort has
            groups other than patients, groups are counted.
        max_vocabulary : int or None, default=None
            Maximum number of codes. The most frequent ones are kept; ties are broken by code.

        Returns
        -------
        Vocabulary

        Raises
        ------
        ValueError
            If no code is frequent enough.
        """
        codes = frequent_codes(
            cohort,
            EventCodes(cohort.event_table),
            min_frequency=min_frequency,
            max_vocabulary=max_vocabulary,
        )
        return cls(codes)

    @property
    def size(self):
        """Number of token ids, including padding and unknown."""
        return len(self.codes) + N_SPECIAL

    def encode(self, codes):
        """Convert codes to token ids.

        Parameters
        ----------
        codes : array-like of shape (n,)

        Returns
        -------
        ndarray of shape (n,), int32

        Raises
        ------
        TypeError
            If the codes and those of the vocabulary are of different types.
        """
        codes = _as_index(codes)
        kinds = key_kind(codes), key_kind(self.codes)
        if len(codes) and kinds[0] != kinds[1]:
            raise TypeError(
                f"The codes are of type {kinds[0]}, those of the vocabulary of type {kinds[1]}. "
                f"Convert them with .astype to the type of the training events."
            )
        position = pd.Index(self.codes).get_indexer(codes)
        return np.where(position < 0, UNKNOWN, position + N_SPECIAL).astype(np.int32)

    def decode(self, tokens):
        """Convert token ids to codes.

        Parameters
        ----------
        tokens : array-like of shape (n,)
            Ids from 2 on.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            If an id is padding, unknown, or not in the vocabulary.
        """
        tokens = np.asarray(tokens)
        if tokens.size and tokens.dtype.kind not in "iu":
            raise TypeError(f"Token ids must be integers, got dtype {tokens.dtype}.")
        tokens = tokens.astype(np.int64)
        if ((tokens < N_SPECIAL) | (tokens >= self.size)).any():
            raise ValueError(
                f"Only token ids from {N_SPECIAL} to {self.size - 1} have a code; 0 is padding "
                f"and 1 stands for any unknown code. Select tokens >= {N_SPECIAL} first."
            )
        return self.codes[tokens - N_SPECIAL]

    def __eq__(self, other):
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return np.array_equal(self.codes, other.codes)

    __hash__ = None

    def __repr__(self):
        return f"Vocabulary(size={self.size})"


def frequent_codes(cohort, event_codes, *, min_frequency, max_vocabulary=None):
    """Codes of a cohort's visible events that enough patients have."""
    frequency = _count_patients(cohort, event_codes)
    least = least_patients(cohort, min_frequency)
    kept = np.flatnonzero(frequency >= least)
    if not kept.size:
        raise ValueError(
            f"The vocabulary is empty: no code is visible in at least min_frequency="
            f"{min_frequency} of the {_n_groups(cohort)} training patients; the most frequent one "
            f"is visible in {frequency.max(initial=0)}. Lower min_frequency, or check the "
            f"prediction times."
        )
    if max_vocabulary is not None:
        kept = kept[np.argsort(-frequency[kept], kind="stable")[:max_vocabulary]]
    return event_codes.names[kept]


def least_patients(cohort, min_frequency):
    """Smallest number of patients that reaches `min_frequency`, at least 1."""
    if isinstance(min_frequency, Integral):
        return max(int(min_frequency), 1)
    n_groups = _n_groups(cohort)
    # Counts are divided, as a product may be too large: 0.07 * 100 is above 7.
    shares = np.arange(n_groups + 1) / max(n_groups, 1)
    return max(int(np.searchsorted(shares, min_frequency)), 1)


def _n_groups(cohort):
    return len(np.unique(cohort.group_positions))


def _as_index(codes):
    index = pd.Index(codes)
    # Categories have an order of their own, and hide the type of the codes.
    return pd.Index(np.asarray(index)) if isinstance(index, pd.CategoricalIndex) else index


def _count_patients(cohort, event_codes):
    """Number of distinct patients with each code among their visible events."""
    n_codes = len(event_codes.names)

    def count(block):
        """Counts of a block, and the pairs of patient and code that other blocks may share."""
        event, sample = block.visible_positions()
        starts = run_starts(block.group_positions)
        patient = (np.cumsum(starts, dtype=np.int32) - np.int32(1))[sample]
        # The patients of each code stay in ascending order.
        shape = n_codes, len(starts)
        patient, offsets = counting_sort(event_codes.positions(event), patient, shape)
        is_first = run_starts(patient)
        is_first[offsets[:-1][offsets[:-1] < len(patient)]] = True
        # A block may start or end between two samples of one patient, so both ends are shared.
        is_shared = (patient == 0) | (patient == np.count_nonzero(starts) - 1)
        counts = np.diff(offsets_from_lengths(is_first & ~is_shared)[offsets])
        position = np.flatnonzero(is_first & is_shared)
        code = np.searchsorted(offsets, position, side="right") - 1
        group = block.group_positions[starts].astype(np.int64)
        return counts, group[patient[position]] * n_codes + code

    by_patient = cohort[np.argsort(cohort.group_positions, kind="stable")]
    counts, shared = zip(*map_in_threads(count, by_patient.blocks()), strict=True)
    code = np.unique(np.concatenate(shared)) % n_codes
    return sum(counts) + np.bincount(code, minlength=n_codes)
