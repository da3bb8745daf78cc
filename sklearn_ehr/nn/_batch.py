"""Batches of samples, as ragged visits of tokens."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

# To go on with a stretch costs about as much as to run this many visits.
_MOST_PADDING = 48
# oneDNN keeps what it made for each number of steps and of samples: few widths, less memory.
_WIDTH_MULTIPLE = 8
# Each place costs as much time as a visit: a long history that runs on alone is not widened.
_MOST_WIDENING = 1024
# A layer of 128 units takes about 4 KiB a place to run a stretch forward and backward.
_MOST_PLACES = 2**15


@dataclass(frozen=True, eq=False)
class VisitBatch:
    """Samples as ragged visits of token ids, without padding.

    Visit ``v`` holds ``tokens[visit_offsets[v]:visit_offsets[v + 1]]`` and sample ``s`` the visits
    ``sample_offsets[s]`` up to ``sample_offsets[s + 1]``, oldest first. Visits may be empty, and
    samples may have no visits.

    Parameters
    ----------
    tokens : Tensor of int64, shape (n_tokens,)
        Token ids of all visits, one after the other, from 1 (unknown code) up; 0 is padding and
        does not occur.
    visit_offsets : Tensor of int64, shape (n_visits + 1,)
        Where each visit starts in `tokens`; the last entry is ``n_tokens``.
    sample_offsets : Tensor of int64, shape (n_samples + 1,)
        Where each sample starts among the visits; the last entry is ``n_visits``.
    times : Tensor of float32, shape (n_visits, 2), default=None
        For a network with `time_gaps`: the time from the visit before to a visit, and from a visit
        to the prediction made after it. Both are at least 0.
    features : Tensor of float32, shape (n_samples, n_features), default=None
        For a network with `n_features`: numbers of each sample.

    Raises
    ------
    TypeError
        If a field is not an int64 tensor.
    ValueError
        If a field has not one dimension, if offsets do not rise from 0 to the number of items they
        cut, or if a token is below 1. Values are looked at on the CPU only: an accelerator would
        have to be waited for.

    Examples
    --------
    Two samples: one with visits ``[2, 3]`` and ``[4]``, one without visits.

    >>> import torch
    >>> from sklearn_ehr.nn import VisitBatch
    >>> batch = VisitBatch(
    ...     tokens=torch.tensor([2, 3, 4]),
    ...     visit_offsets=torch.tensor([0, 2, 3]),
    ...     sample_offsets=torch.tensor([0, 2, 2]),
    ... )
    >>> len(batch), batch.lengths.tolist()
    (2, [2, 0])
    """

    tokens: Tensor
    visit_offsets: Tensor
    sample_offsets: Tensor
    times: Tensor | None = None
    features: Tensor | None = None

    def __post_init__(self):
        for name in ("tokens", "visit_offsets", "sample_offsets"):
            _check_int64_vector(getattr(self, name), name)
        _check_offsets(self.visit_offsets, "visit_offsets", len(self.tokens), "tokens")
        _check_offsets(self.sample_offsets, "sample_offsets", self.n_visits, "visits")
        if self.times is not None and self.times.shape != (self.n_visits, 2):
            raise ValueError(
                f"times has shape {tuple(self.times.shape)}; {(self.n_visits, 2)} is needed."
            )
        if self.features is not None and len(self.features) != len(self):
            raise ValueError(
                f"features has {len(self.features)} rows; one per sample, {len(self)}, is needed."
            )
        if self.tokens.device.type == "cpu" and (self.tokens < 1).any():
            raise ValueError(
                "tokens holds ids below 1; a batch is ragged and takes no padding (0): leave the "
                "padding out, or pass padded codes to VisitLSTM.forward_padded."
            )

    def __len__(self):
        return len(self.sample_offsets) - 1

    @property
    def n_visits(self):
        """Number of visits of all samples together."""
        return len(self.visit_offsets) - 1

    @property
    def lengths(self):
        """Visits per sample, Tensor of int64, shape (n_samples,)."""
        return self.sample_offsets.diff()

    def to(self, device):
        """Return the batch on another device.

        Parameters
        ----------
        device : torch.device or str
            Where the tensors go.

        Returns
        -------
        VisitBatch
            The same samples, on `device`; the batch itself where it is there already.
        """
        if self.tokens.device == torch.device(device):
            return self
        return VisitBatch(
            self.tokens.to(device),
            self.visit_offsets.to(device),
            self.sample_offsets.to(device),
            None if self.times is None else self.times.to(device),
            None if self.features is None else self.features.to(device),
        )

    def last_visits(self):
        """Return which samples have visits, and which visit is the last of each of these.

        Returns
        -------
        seen, last : Tensor of int64
        """
        seen = self.lengths.nonzero().squeeze(1)
        return seen, self.sample_offsets[seen + 1] - 1

    def stretches(self, *, backward=False):
        """Lay out visits by step and sample, in stretches of steps that need little padding.

        A stretch holds the samples that have a visit at its first step, the longest first, and a
        few shorter ones to make their number a multiple of 8, if the stretch before has as many and
        that adds few places. It ends where the former would leave more than a few places empty; the
        next goes on with as many samples or fewer. A stretch of very many places is cut into
        several, one after the other. The batch needs at least one visit.

        Parameters
        ----------
        backward : bool, default=False
            Whether a sample's steps go from its last visit to its first.

        Returns
        -------
        stretches : list of Tensor of int64, shape (n_steps, n_samples)
            Which visit comes at each step; ``n_visits`` where a sample has none left.
        place : Tensor of int64, shape (n_visits,)
            Where each visit stands in all stretches, flattened and one after the other.
        """
        lengths, samples = self.lengths.sort(descending=True, stable=True)
        n_running = lengths.bincount().flip(0).cumsum(0).flip(0)[1:]
        first, last = self.sample_offsets[samples], self.sample_offsets[samples + 1] - 1
        stretches = []
        for start, stop, n in _cut_steps(n_running):
            step = torch.arange(start, stop, device=first.device).unsqueeze(1)
            visit = last[:n] - step if backward else first[:n] + step
            stretches.append(torch.where(step < lengths[:n], visit, self.n_visits))
        rows = torch.cat([stretch.flatten() for stretch in stretches])
        place = rows.new_empty(self.n_visits + 1)
        place[rows] = torch.arange(len(rows), device=rows.device)
        return stretches, place[:-1]

    def pack(self, visits):
        """Pack one vector a visit for a recurrent layer, without a padded copy in between.

        A packed sequence holds the first visits of all samples, longest sample first, then the
        second visits, and so on.

        Parameters
        ----------
        visits : Tensor, shape (n_visits, n_features)
            A vector for each visit, in the order of the batch; at least one.

        Returns
        -------
        packed : torch.nn.utils.rnn.PackedSequence
            Samples with visits, the longest first.
        visit : Tensor of int64, shape (n_visits,)
            Which visit of the batch each packed one is.
        """
        lengths = self.lengths
        rank = lengths.argsort(descending=True, stable=True).argsort()
        sample = torch.repeat_interleave(lengths, output_size=self.n_visits)
        step = torch.arange(self.n_visits, device=sample.device) - self.sample_offsets[sample]
        visit = (step * len(self) + rank[sample]).argsort()
        # A packed sequence keeps its batch sizes on the CPU whatever the device of its data.
        batch_sizes = torch.bincount(step).cpu()
        return PackedSequence(visits.index_select(0, visit), batch_sizes), visit


def _cut_steps(n_running):
    """Where stretches start and stop, and how wide they are.

    `n_running` is the number of samples that have a visit at each step.
    """
    cuts = [0]
    while cuts[-1] < len(n_running):
        rest = n_running[cuts[-1] :]
        n_padding = (rest[0] - rest).cumsum(0)
        cuts.append(cuts[-1] + int(torch.searchsorted(n_padding, _MOST_PADDING, right=True)))
    widest = math.inf
    for start, stop in pairwise(cuts):
        width = int(n_running[start])
        n_more = -width % _WIDTH_MULTIPLE
        if n_more * (stop - start) <= _MOST_WIDENING:
            width += n_more
        # A stretch goes on with samples of the one before, whose states it has.
        width = widest = min(width, widest)
        n_steps = max(1, _MOST_PLACES // width)
        for first in range(start, stop, n_steps):
            yield first, min(first + n_steps, stop), width


def _check_int64_vector(tensor, name):
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.int64:
        got = getattr(tensor, "dtype", type(tensor).__name__)
        raise TypeError(f"{name} is {got}; a torch.int64 tensor is needed: convert it first.")
    if tensor.ndim != 1:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; one dimension is needed.")


def _check_offsets(offsets, name, n_items, items):
    if len(offsets) == 0:
        raise ValueError(f"{name} is empty; it starts with 0 even where there are no {items}.")
    if offsets.device.type != "cpu":
        return
    if offsets[0] != 0 or offsets[-1] != n_items or (offsets.diff() < 0).any():
        raise ValueError(
            f"{name} runs from {int(offsets[0])} to {int(offsets[-1])}; it must start at 0, never "
            f"fall, and end at the number of {items}, {n_items}."
        )
