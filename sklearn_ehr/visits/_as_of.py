"""What was known at the end of each visit."""

import numpy as np

from ..utils import concatenate_ranges, offsets_from_lengths
from ._sequences import _PER_SAMPLE, VisitSequences


def with_earlier(sequences):
    """Sequences with the visits that `max_visits` left out put back: after static ones, if any."""
    earlier = sequences.earlier
    if earlier is None:
        return sequences
    pool = VisitSequences._concatenate(
        [part._replace(earlier=None) for part in (sequences, earlier)]
    )
    n_visits, n_static = len(sequences.visit_offsets) - 1, count_static(sequences)
    starts, stops = sequences.sample_offsets[:-1], sequences.sample_offsets[1:]
    ranges = [
        (starts, starts + n_static),
        (n_visits + earlier.sample_offsets[:-1], n_visits + earlier.sample_offsets[1:]),
        (starts + n_static, stops),
    ]
    lengths = sequences.lengths + earlier.lengths
    whole = pool._rebuild(_concatenate_each(ranges), offsets_from_lengths(lengths))
    return whole._replace(**sequences._columns(_PER_SAMPLE))


def refuse_overlaps(sequences):
    """Raise where the end of a visit does not part what was known by then from what was not.

    `sequences` hold all visits, as of `with_earlier`.
    """
    times = sequences.visit_times if sequences.known_times is None else sequences.known_times
    if times is None:
        return
    first, last = times.T
    if n_overlapping := _count_after_dated(sequences, first[1:] <= last[:-1]):
        raise ValueError(
            f"{n_overlapping} visit(s) of X overlap with the one before: part of what they hold "
            f"was known when that one ended, so nothing can be said as of its end. Group events "
            f"with VisitSequenceTransformer(visits='time'), 'day' or a gap; where facts are "
            f"recorded late (known_time), with a gap that is long enough for them."
        )


def refuse_late_facts(sequences):
    """Raise where a visit holds what became known only after the end of the next one."""
    if sequences.known_times is None:
        return
    last = sequences.known_times[:, 1]
    if n_late := _count_after_dated(sequences, last[:-1] > last[1:]):
        raise ValueError(
            f"{n_late} visit(s) of X end before all of the one before was known (known_time), so "
            f"their answers would look ahead. Group events with VisitSequenceTransformer(visits=a "
            f"gap that is long enough for them), or leave out what is recorded late."
        )


def _count_after_dated(sequences, is_one):
    """How many visits after another of their sample, which is not static, are marked.

    `is_one` marks each visit but the first. Static events are known from the start, whatever their
    known time.
    """
    counts = is_one & ~sequences.is_static[:-1]
    starts = sequences.sample_offsets[:-1][sequences.lengths > 0]
    counts[starts[starts > 0] - 1] = False
    return np.count_nonzero(counts)


def truncated_visits(sequences):
    """Positions of dated visits in samples that `max_visits` cut short."""
    if sequences.earlier is None:
        return np.empty(0, dtype=np.int64)
    is_cut = np.repeat(sequences.earlier.lengths > 0, sequences.lengths)
    return np.flatnonzero(is_cut & ~sequences.is_static)


def as_of_truncated(sequences, whole):
    """A sample for each of `truncated_visits`: what `max_visits` would have kept at its end.

    `whole` is `sequences` as of `with_earlier`. What was kept of a sample that was cut short tells
    `max_visits`.
    """
    visits = truncated_visits(sequences)
    sample = np.repeat(np.arange(len(sequences)), sequences.lengths)[visits]
    n_static = count_static(sequences)[sample]
    max_visits = sequences.lengths[sample] - n_static
    stops = whole.sample_offsets[sample + 1] - (sequences.sample_offsets[sample + 1] - visits) + 1
    starts = whole.sample_offsets[sample]
    dated_starts = np.maximum(starts + n_static, stops - max_visits)
    ranges = [(starts, starts + n_static), (dated_starts, stops)]
    lengths = n_static + stops - dated_starts
    histories = whole._rebuild(_concatenate_each(ranges), offsets_from_lengths(lengths))
    # Predicted as soon as their last visit is known, which `times_to_prediction` takes for granted.
    return histories._replace(groups=None, prediction_times=None)


def count_static(sequences):
    """Static visits of each sample, ndarray of shape (n_samples,)."""
    return np.diff(offsets_from_lengths(sequences.is_static)[sequences.sample_offsets])


def _concatenate_each(ranges):
    """Integers of the first of each kind of ranges, then of the second of each, and so on."""
    starts, stops = (np.stack(ends, axis=1).ravel() for ends in zip(*ranges, strict=True))
    return concatenate_ranges(starts, stops)
