"""Dataset that a network is trained on or validated with."""

import numpy as np
import torch

from ..visits import VisitSequences
from ._inputs import as_batch


class VisitDataset(torch.utils.data.Dataset):
    """Sequences with their targets and weights; hands out whole batches.

    A target belongs to a sample, with `by_visit` to a visit; a weight always belongs to a sample.
    `times`, float32 of shape (n_visits, 2), are what a network with `time_gaps` reads.

    All it holds are arrays of numpy, for which it does not matter how torch is set when they are
    made.
    """

    def __init__(self, sequences, target, weight, by_visit=False, times=None):
        # Neither times nor patients: they would be indexed with every batch, and nobody asks.
        self.sequences = VisitSequences(
            sequences.tokens,
            sequences.visit_offsets,
            sequences.sample_offsets,
            features=sequences.features,
        )
        self.target = target
        self.weight = weight
        self.by_visit = by_visit
        self.times = times

    def __len__(self):
        return len(self.sequences)

    def __getitems__(self, indices):
        part = self.take(np.asarray(indices))
        weight = torch.from_numpy(part.weight.astype(np.float32))
        # Weights go with the input: scoring callbacks take the target for nothing but outcomes.
        return (as_batch(part.sequences, part.times), weight), torch.from_numpy(part.target)

    @property
    def is_weighted(self):
        """Whether the weight of each sample is not 0, ndarray of bool, shape (n_samples,)."""
        return self.weight > 0

    def take(self, samples):
        """The dataset of the samples at these positions."""
        visits = self.sequences.visits_of(samples)
        return VisitDataset(
            self.sequences[samples],
            self.target[visits if self.by_visit else samples],
            self.weight[samples],
            self.by_visit,
            None if self.times is None else self.times[visits],
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
        return VisitDataset(self.sequences, self.target, weight, self.by_visit, self.times)

    def _n_labelled(self):
        """Labelled visits of each sample; one with some of several labels counts in part."""
        if not self.by_visit:
            return np.ones(len(self))
        is_there = self.target >= 0
        share = is_there.reshape(len(is_there), -1).mean(axis=1)
        return np.diff(np.append(0, share.cumsum())[self.sequences.sample_offsets])
