"""Histories without some of what they hold."""

import numpy as np

from ..utils import SampleIndexing, offsets_from_lengths, slices_of_about


def without_visits(sequences):
    """The same samples, with their features, and no visits."""
    return sequences._select_visits(np.zeros(len(sequences.is_static), dtype=bool))


def with_tokens(sequences, tokens, visit_offsets):
    """Sequences with other tokens in the same visits."""
    return sequences._replace(tokens=tokens, visit_offsets=visit_offsets, earlier=None)


class OccludedHistories(SampleIndexing):
    """Histories that each lack one token, one for each token of sequences, in its order.

    The visit of the token stays, perhaps without any. Histories are built when they are indexed,
    because all of them together repeat a sample as many times as it has tokens.
    """

    _way_out = "Index it to get VisitSequences."

    def __init__(self, sequences):
        self._sequences = sequences._replace(earlier=None)
        self._first = sequences.visit_offsets[sequences.sample_offsets]
        self._n_tokens = np.diff(self._first)
        self._sample = np.repeat(np.arange(len(sequences)), self._n_tokens)

    def __len__(self):
        return len(self._sample)

    def slices(self):
        """Slices of consecutive histories, of about the same number of tokens."""
        n_before = offsets_from_lengths(self._n_tokens[self._sample])[:-1]
        return slices_of_about(n_before) if len(self) else []

    def _take(self, positions):
        sample = self._sample[positions]
        whole = self._sequences[sample]
        first = whole.visit_offsets[whole.sample_offsets[:-1]]
        lacking = first + positions - self._first[sample]
        # Ascending, as each history lacks one token, and they follow one another.
        return whole._replace(
            tokens=np.delete(whole.tokens, lacking),
            visit_offsets=whole.visit_offsets - np.searchsorted(lacking, whole.visit_offsets),
        )
