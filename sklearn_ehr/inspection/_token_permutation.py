"""Exchange of the occurrences of codes between samples."""

import numpy as np

from ..utils import concatenate_ranges, offsets_from_lengths, order_by, run_starts
from ..visits import count_static, with_tokens


class TokenPermutation:
    """Sequences in which each sample gets some tokens of another one.

    A token is placed at the same visit, counted from the last. Tokens of visits for which the
    sample is too short go to its first visit, each as often as in the latest of these visits: more
    would repeat a code within a visit. Static visits exchange with static ones, where there are
    any, and samples without visits get nothing. All other tokens stay.
    """

    def __init__(self, sequences):
        self.sequences = sequences
        visit_lengths, lengths = np.diff(sequences.visit_offsets), sequences.lengths
        self._visit_lengths = visit_lengths
        self._visit_of_token = np.repeat(np.arange(len(visit_lengths)), visit_lengths)
        self._sample_of_visit = np.repeat(np.arange(len(lengths)), lengths)
        self._starts, self._ends = sequences.sample_offsets[:-1], sequences.sample_offsets[1:]
        self._first_dated = np.minimum(self._starts + count_static(sequences), self._ends - 1)
        self._is_static = sequences.is_static
        self._by_id = order_by(sequences.tokens)
        self._sorted = sequences.tokens[self._by_id]

    def positions_of(self, ids):
        """Positions of all tokens with one of these ids, ascending."""
        starts, stops = (np.searchsorted(self._sorted, ids, side) for side in ("left", "right"))
        return np.sort(self._by_id[concatenate_ranges(starts, stops)])

    def samples_with(self, positions):
        """The samples that have the tokens at these positions, ascending."""
        return np.unique(self._sample_of_visit[self._visit_of_token[positions]])

    def permute(self, positions, donors):
        """Give each sample the tokens at these positions of another sample.

        Sample `i` gets those of the sample ``donors[i]``; `donors` is a permutation.

        Returns
        -------
        sequences : VisitSequences
        changed : ndarray of int
            The samples that lost or got tokens, ascending.
        """
        source = self._visit_of_token[positions]
        recipients = np.argsort(donors)[self._sample_of_visit[source]]
        target, token = self._place(self.sequences.tokens[positions], source, recipients)
        changed = np.union1d(self._sample_of_visit[source], self._sample_of_visit[target])
        return self._rebuild(positions, source, target, token), changed

    def _place(self, tokens, source, recipients):
        """Visits at which tokens are placed, ascending, and the tokens."""
        to_come = self._ends[self._sample_of_visit[source]] - source
        target = np.maximum(self._ends[recipients] - to_come, self._first_dated[recipients])
        target = np.where(self._is_static[source], self._starts[recipients], target)
        has_visits = self._ends[recipients] > self._starts[recipients]
        target, tokens, source = (values[has_visits] for values in (target, tokens, source))
        order = np.lexsort((source, tokens, target))
        target, tokens, source = target[order], tokens[order], source[order]
        run = np.cumsum(run_starts(target, tokens)) - 1
        latest = np.zeros(len(run), dtype=np.int64)
        np.maximum.at(latest, run, source)
        kept = source == latest[run]
        return target[kept], tokens[kept]

    def _rebuild(self, positions, source, target, token):
        n_visits = len(self._visit_lengths)
        lengths = self._visit_lengths - np.bincount(source, minlength=n_visits)
        stays = np.ones(len(self._visit_of_token), dtype=bool)
        stays[positions] = False
        ends = np.cumsum(lengths)
        tokens = np.insert(self.sequences.tokens[stays], ends[target], token)
        lengths += np.bincount(target, minlength=n_visits)
        return with_tokens(self.sequences, tokens, offsets_from_lengths(lengths))
