"""Histories as they were known at the end of each visit."""

import numpy as np

from ..utils import SampleIndexing, concatenate_ranges, offsets_from_lengths
from ._joined_sequences import PER_SAMPLE
from ._sequences import VisitSequences


def with_earlier(sequences):
    """Put back the visits that `max_visits` left out, after the static visit if there is one."""
    earlier = sequences.earlier
    if earlier is None:
        return sequences
    pool = VisitSequences._concatenate([part._without_samples() for part in (sequences, earlier)])
    n_visits, n_static = len(sequences.visit_offsets) - 1, count_static(sequences)
    starts, stops = sequences.sample_offsets[:-1], sequences.sample_offsets[1:]
    ranges = [
        (starts, starts + n_static),
        (n_visits + earlier.sample_offsets[:-1], n_visits + earlier.sample_offsets[1:]),
        (starts + n_static, stops),
    ]
    lengths = sequences.lengths + earlier.lengths
    whole = pool._rebuild(_concatenate_each(ranges), offsets_from_lengths(lengths))
    return whole._replace(**sequences._columns(PER_SAMPLE))


def has_overlaps(sequences):
    """Whether a visit of a sample begins no later than the previous one ends, (n_samples,) of bool.

    What was known at the end of the previous visit is then not a number of whole visits.
    `sequences` hold all visits, as `with_earlier` returns them.
    """
    found = np.zeros(len(sequences), dtype=bool)
    times = sequences.visit_times if sequences.known_times is None else sequences.known_times
    if times is not None:
        first, last = times.T
        sample = np.repeat(np.arange(len(sequences)), sequences.lengths)
        found[sample[1:][_is_after_dated(sequences, first[1:] <= last[:-1])]] = True
    return found


def refuse_late_facts(sequences):
    """Raise if an event became known only after the end of the next visit."""
    if sequences.known_times is None:
        return
    last = sequences.known_times[:, 1]
    if n_late := np.count_nonzero(_is_after_dated(sequences, last[:-1] > last[1:])):
        raise ValueError(
            f"{n_late} visit(s) of X end before all of the previous one was known (known_time), so "
            f"their predictions would look ahead. Group events with VisitSequenceTransformer("
            f"visits=a gap that is long enough for them), or leave out events recorded late."
        )


def _is_after_dated(sequences, is_one):
    """Which marked visits follow another visit of their sample, other than a static one.

    `is_one` has a mark for each visit but the first. Static events are known from the start,
    whatever their known time.
    """
    is_after = is_one & ~sequences.is_static[:-1]
    starts = sequences.sample_offsets[:-1][sequences.lengths > 0]
    is_after[starts[starts > 0] - 1] = False
    return is_after


class TruncatedHistories(SampleIndexing):
    """Histories as of the end of each dated visit, for samples that `max_visits` cut short.

    Each one holds the visits that `max_visits` would have kept at that time. Histories are built
    when they are indexed, because all of them together repeat a visit up to `max_visits` times.
    `sequences` are what `max_visits` kept, and `whole` is what `with_earlier` makes of them.
    `visits` are the positions in `sequences` of the visit that each history ends with, and
    `lengths` the numbers of visits.
    """

    _way_out = "Index it to get VisitSequences."

    def __init__(self, sequences, whole):
        # As of the end of its last visit, with no time until the prediction.
        self._whole = whole._without_samples()
        is_cut = np.zeros(len(sequences), dtype=bool)
        if sequences.earlier is not None:
            is_cut = sequences.earlier.lengths > 0
        is_cut = np.repeat(is_cut, sequences.lengths) & ~sequences.is_static
        self.visits = np.flatnonzero(is_cut)
        sample = np.repeat(np.arange(len(sequences)), sequences.lengths)[self.visits]
        n_static = count_static(sequences)[sample]
        max_visits = sequences.lengths[sample] - n_static
        to_come = sequences.sample_offsets[sample + 1] - self.visits - 1
        self._starts = whole.sample_offsets[sample]
        self._static_stops = self._starts + n_static
        self._stops = whole.sample_offsets[sample + 1] - to_come
        self._dated_starts = np.maximum(self._static_stops, self._stops - max_visits)
        self.lengths = n_static + self._stops - self._dated_starts

    def __len__(self):
        return len(self.visits)

    def _take(self, positions):
        static = self._starts[positions], self._static_stops[positions]
        dated = self._dated_starts[positions], self._stops[positions]
        offsets = offsets_from_lengths(self.lengths[positions])
        return self._whole._rebuild(_concatenate_each([static, dated]), offsets)


def count_static(sequences):
    """Number of static visits of each sample, ndarray of shape (n_samples,)."""
    return np.diff(offsets_from_lengths(sequences.is_static)[sequences.sample_offsets])


def _concatenate_each(ranges):
    """Integers in the first range of each kind, then in the second range of each kind, etc."""
    starts, stops = (np.stack(ends, axis=1).ravel() for ends in zip(*ranges, strict=True))
    return concatenate_ranges(starts, stops)
