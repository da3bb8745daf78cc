"""Visits of tokens: codes as the ids of a vocabulary."""

import numpy as np

from ..utils import is_last_of_equals, offsets_from_lengths
from ._grouping import group_events
from ._vocabulary import UNKNOWN


class Tokeniser:
    """Visits of tokens from a cohort or a block of it, the same for both transformers.

    The options are those of `VisitSequenceTransformer`.
    """

    def __init__(self, event_codes, vocabulary, *, handle_unknown, visits, max_visits, deduplicate):
        self.event_codes = event_codes
        self.vocabulary = vocabulary
        self.handle_unknown = handle_unknown
        self.visits = visits
        self.max_visits = max_visits
        self.deduplicate = deduplicate
        self._token_of_code = vocabulary.encode(event_codes.names)

    def __call__(self, cohort):
        """Visits of tokens, as `VisitSequences`."""
        grouped = group_events(cohort, self.visits, self.event_codes)
        sequences = select_tokens(
            grouped,
            self._token_of_code[grouped.tokens],
            self.vocabulary,
            drop_unknown=self.handle_unknown == "ignore",
            deduplicate=self.deduplicate,
        )
        return sequences if self.max_visits is None else sequences._keep_recent(self.max_visits)

    def count_known(self, cohort):
        """Number of visible events, and how many of them have a code of the vocabulary."""
        event, sample = cohort.visible_positions()
        token = self._token_of_code[self.event_codes.positions(event)]
        return len(sample), np.count_nonzero(token != UNKNOWN)


def select_tokens(sequences, tokens, vocabulary, *, drop_unknown, deduplicate):
    """Replace the tokens of sequences, and drop unknown or repeated ones.

    Among repeats in a visit, the last one is kept.
    """
    offsets = sequences.visit_offsets
    if drop_unknown:
        tokens, offsets = _keep(tokens != UNKNOWN, tokens, offsets)
    if deduplicate:
        visit = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
        tokens, offsets = _keep(is_last_of_equals(visit, tokens), tokens, offsets)
    return sequences._replace(tokens=tokens, visit_offsets=offsets, vocabulary=vocabulary)


def _keep(kept, tokens, offsets):
    """Select tokens, and adapt the offsets of their visits."""
    return tokens[kept], offsets_from_lengths(kept)[offsets]
