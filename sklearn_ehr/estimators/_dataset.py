"""Dataset that a network is trained on or validated with."""

from functools import cached_property

import numpy as np
import torch

from ..utils import concatenate_ranges, offsets_from_lengths
from ..visits import VisitSequences
from ._inputs import as_batch


class VisitDataset(torch.utils.data.Dataset):
    """Sequences with their targets and weights; hands out whole batches.

    A target belongs to a sample, with `by_visit` to a visit; a weight always belongs to a sample.
    `times`, float32 of shape (n_visits, 2), are what a network with `time_gaps` reads. With `rows`,
    the samples are those at these positions in `sequences`, from which they are only taken batch by
    batch: sequences may be mapped from disk, and larger than memory.

    All it holds are arrays of numpy, for which it does not matter how torch is set when they are
    made.
    """

    def __init__(self, sequences, target, weight, by_visit=False, times=None, rows=None):
        # Neither times nor patients: they would be indexed with every batch, and nobody asks.
        self.histories = VisitSequences(
            sequences.tokens,
            sequences.visit_offsets,
            sequences.sample_offsets,
            features=sequences.features,
        )
        self.target = target
        self.weight = weight
        self.by_visit = by_visit
        self.times = times
        self.rows = rows

    def __len__(self):
        return len(self.weight)

    def __getitems__(self, indices):
        samples = np.asarray(indices)
        rows = self._rows_of(samples)
        times = None if self.times is None else self.times[self.histories.visits_of(rows)]
        batch = as_batch(self.histories[rows], times)
        weight = torch.from_numpy(self.weight[samples].astype(np.float32))
        # Weights go with the input: scoring callbacks take the target for nothing but outcomes.
        return (batch, weight), torch.from_numpy(self._targets_of(samples))

    @property
    def sequences(self):
        """The sequences of the samples."""
        return self.histories if self.rows is None else self.histories[self.rows]

    @property
    def lengths(self):
        """Number of visits of each sample, ndarray of shape (n_samples,)."""
        lengths = self.histories.lengths
        return lengths if self.rows is None else lengths[self.rows]

    @property
    def is_weighted(self):
        """Whether the weight of each sample is not 0, ndarray of bool, shape (n_samples,)."""
        return self.weight > 0

    def take(self, samples):
        """The dataset of the samples at these positions."""
        return VisitDataset(
            self.histories,
            self._targets_of(samples),
            self.weight[samples],
            self.by_visit,
            self.times,
            self._rows_of(samples),
        )

    def weighted_to_one(self):
        """The dataset with weights under which its loss is a weighted mean of its targets'."""
        # First of at most 1, as sums of large ones would be infinite.
        scaled = self._with(self.weight / self.weight.max())
        return scaled._with(scaled.weight / scaled.mean_weight)

    @property
    def mean_weight(self):
        """Weight of its targets for each sample, in the mean."""
        return (self.weight * self._n_labelled()).mean()

    def _with(self, weight):
        return VisitDataset(
            self.histories, self.target, weight, self.by_visit, self.times, self.rows
        )

    def _rows_of(self, samples):
        return samples if self.rows is None else self.rows[samples]

    def _targets_of(self, samples):
        if not self.by_visit:
            return self.target[samples]
        offsets = self._visit_offsets
        return self.target[concatenate_ranges(offsets[samples], offsets[samples + 1])]

    @cached_property
    def _visit_offsets(self):
        """Where the visits of each sample start among its targets, and the last ones end."""
        if self.rows is None:
            return self.histories.sample_offsets
        return offsets_from_lengths(self.lengths)

    def _n_labelled(self):
        """Labelled visits of each sample; one with some of several labels counts in part."""
        if not self.by_visit:
            return np.ones(len(self))
        is_there = self.target >= 0
        share = is_there.reshape(len(is_there), -1).mean(axis=1)
        return np.diff(np.append(0, share.cumsum())[self._visit_offsets])
