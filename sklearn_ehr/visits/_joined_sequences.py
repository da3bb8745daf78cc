"""Sequences of visits that are joined part by part."""

import numpy as np

from ..utils import GrowingArray, offsets_from_lengths

PER_VISIT = ("visit_times", "known_times", "visit_ids")
PER_SAMPLE = ("groups", "prediction_times", "features")


class JoinedSequences:
    """Sequences to which others are appended that share a vocabulary."""

    def __init__(self, first):
        self._first = first._replace(earlier=None)
        names = ["tokens", *first._columns(PER_VISIT), *first._columns(PER_SAMPLE)]
        self._arrays = {name: GrowingArray() for name in names}
        self._lengths = {name: GrowingArray() for name in ("visit_offsets", "sample_offsets")}
        self._earlier = None if first.earlier is None else JoinedSequences(first.earlier)

    def append(self, part):
        """Append the samples of a part."""
        for name, array in self._arrays.items():
            array.append(getattr(part, name))
        for name, lengths in self._lengths.items():
            lengths.append(np.diff(getattr(part, name)))
        if self._earlier is not None:
            self._earlier.append(part.earlier)

    def finish(self):
        """Return the sequences of all parts."""
        arrays = {name: array.finish() for name, array in self._arrays.items()}
        for name, lengths in self._lengths.items():
            arrays[name] = offsets_from_lengths(lengths.finish())
        earlier = None if self._earlier is None else self._earlier.finish()
        return self._first._replace(**arrays, earlier=earlier)
