"""Samples of one fit, with their outcomes and weights."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..model_selection import split_off_patients
from ..utils import safe_indexing
from ..visits import VisitSequences
from ._dataset import VisitDataset

# With fewer samples, counts and a regression predict as well in `benchmarks/signals.py`.
_FEW_SAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Samples:
    """Histories and outcomes of the same samples, which are taken together.

    `histories` are the sequences of at least these samples; those of `data` are the samples. `y`
    are the outcomes as they were given, and `weight` the weights without those of classes, both for
    scorers; `data` is what the network is trained on, and `strata` are those of a split.
    """

    histories: VisitSequences
    y: object
    data: VisitDataset
    weight: np.ndarray
    strata: np.ndarray

    def __len__(self):
        return len(self.data)

    @property
    def sequences(self):
        """The sequences of the samples."""
        return self.histories if self.data.rows is None else self.histories[self.data.rows]

    @property
    def groups(self):
        """Group of each sample, its own where there are none."""
        groups, rows = self.histories.groups, self.data.rows
        if groups is None:
            return np.arange(len(self))
        return groups if rows is None else groups[rows]

    def take(self, samples):
        """Samples at these positions."""
        return Samples(
            self.histories,
            safe_indexing(self.y, samples),
            self.data.take(samples),
            self.weight[samples],
            self.strata[samples],
        )

    def weighted(self):
        """Samples whose weight is not 0."""
        is_weighted = self.data.is_weighted
        return self if is_weighted.all() else self.take(np.flatnonzero(is_weighted))

    def split(self, fraction, seed):
        """Split off a share of the patients, stratified where that is possible.

        Returns the rest and what was split off, which is None where no split keeps patients whole
        and every stratum in the rest.
        """
        try:
            rest, split_off = split_off_patients(self.strata, self.groups, fraction, seed)
        except ValueError:
            return self, None
        if not np.isin(self.strata, self.strata[rest]).all():
            return self, None
        # By length, so that batches of validation need as little padding as others.
        lengths = self.data.lengths[split_off]
        return self.take(rest), self.take(split_off[lengths.argsort(kind="stable")])


def warn_if_few(samples, estimator):
    """Warn that a regression on counts would do where there are few samples."""
    if len(samples) < _FEW_SAMPLES:
        warnings.warn(
            f"{estimator} has {len(samples)} samples to learn from. With fewer than "
            f"{_FEW_SAMPLES}, a regression on the counts of CodeCountVectorizer is usually at "
            f"least as good, and faster.",
            UserWarning,
            stacklevel=6,
        )


def warn_without_split(estimator, n_samples):
    """Warn that early stopping has nothing to validate with."""
    warnings.warn(
        f"early_stopping finds no validation split of validation_fraction="
        f"{estimator.validation_fraction} that keeps patients whole and every class in training: "
        f"the model trains on all {n_samples} samples for max_epochs={estimator.max_epochs} "
        f"epochs. Set early_stopping=False to silence this, or pass X_val and y_val.",
        UserWarning,
        stacklevel=6,
    )


def warn_if_shared(groups_val, groups):
    """Warn that patients of the validation set are trained on."""
    if groups is None or groups_val is None:
        return
    if n_shared := np.count_nonzero(pd.Index(groups_val).unique().isin(groups)):
        warnings.warn(
            f"X_val and X share {n_shared} patient(s), so early stopping sees patients that the "
            f"model is trained on, and stops too late. Leave them out of X_val.",
            UserWarning,
            stacklevel=5,
        )
