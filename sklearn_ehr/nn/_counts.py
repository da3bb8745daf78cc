"""Linear model of code counts over ragged visits."""

import torch
from torch import nn
from torch.nn import functional as F


class CodeCountLinear(nn.Module):
    """Weighted sum of ``log1p`` of the counts of codes, in a history and in its last visit.

    It is the linear part of a logistic regression on the counts of ``CodeCountVectorizer``, with
    ``encoding="log1p"`` and ``last_visits=(1,)``, but that unknown codes count too, and static ones
    as the last visit where there is no other. All weights start at zero.

    Parameters
    ----------
    vocab_size : int
        Number of token ids, 0 (padding) and 1 (unknown code) included.
    output_dim : int, default=1
        Number of sums.

    Attributes
    ----------
    history, last_visit : torch.nn.Parameter, shape (vocab_size, output_dim)
        Weights of the counts in the whole history, and in its last visit.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ehr.nn import CodeCountLinear, VisitBatch
    >>> batch = VisitBatch(
    ...     tokens=torch.tensor([2, 3, 2]),
    ...     visit_offsets=torch.tensor([0, 2, 3]),
    ...     sample_offsets=torch.tensor([0, 2]),
    ... )
    >>> linear = CodeCountLinear(vocab_size=4)
    >>> with torch.no_grad():
    ...     _ = linear.history.fill_(1.0)
    >>> torch.allclose(linear(batch).exp(), torch.tensor(3.0 * 2.0))
    True
    """

    def __init__(self, vocab_size, output_dim=1):
        super().__init__()
        self.history = nn.Parameter(torch.zeros(vocab_size, output_dim))
        self.last_visit = nn.Parameter(torch.zeros(vocab_size, output_dim))

    def forward(self, batch):
        """Return the sums of each sample.

        Parameters
        ----------
        batch : VisitBatch

        Returns
        -------
        Tensor, shape (n_samples, output_dim)
        """
        of_history, of_visit = log1p_steps(batch)
        seen, last = batch.last_visits()
        ends = batch.visit_offsets[batch.sample_offsets]
        history = _weighted_sums(batch.tokens, self.history, ends, of_history)
        visits = _weighted_sums(batch.tokens, self.last_visit, batch.visit_offsets, of_visit)
        return history.index_add(0, seen, visits[last])

    def forward_by_visit(self, batch):
        """Return the sums after each visit, which depend on no later one.

        Parameters
        ----------
        batch : VisitBatch

        Returns
        -------
        Tensor, shape (n_visits, output_dim)
        """
        of_history, of_visit = log1p_steps(batch)
        history = _weighted_sums(batch.tokens, self.history, batch.visit_offsets, of_history)
        visits = _weighted_sums(batch.tokens, self.last_visit, batch.visit_offsets, of_visit)
        return cumulate(history, batch.sample_offsets) + visits

    def forward_padded(self, codes, mask, visit_mask):
        """Return the sums of padded samples: the readable reference of `forward`.

        Parameters
        ----------
        codes : Tensor of int64, shape (n_samples, n_visits, n_codes)
        mask : Tensor of bool, shape (n_samples, n_visits, n_codes)
        visit_mask : Tensor of bool, shape (n_samples, n_visits)
            As in `VisitLSTM.forward_padded`.

        Returns
        -------
        Tensor, shape (n_samples, output_dim)
        """
        counts = F.one_hot(codes, len(self.history)) * mask.unsqueeze(3)
        counts = counts.sum(dim=2).to(self.history.dtype)
        sums = counts.sum(dim=1).log1p() @ self.history
        lengths = visit_mask.sum(dim=1)
        seen = lengths > 0
        last = counts[seen, lengths[seen] - 1]
        sums[seen] += last.log1p() @ self.last_visit
        return sums


def log1p_steps(batch):
    """By how much each token raises ``log1p`` of its code's count, in its history and its visit.

    Parameters
    ----------
    batch : VisitBatch

    Returns
    -------
    of_history, of_visit : Tensor of float32, shape (n_tokens,)
    """
    visit = torch.repeat_interleave(batch.visit_offsets.diff(), output_size=len(batch.tokens))
    sample = torch.repeat_interleave(batch.lengths, output_size=batch.n_visits)
    n_ids = int(batch.tokens.max()) + 1 if len(batch.tokens) else 1
    return tuple(_steps_within(group * n_ids + batch.tokens) for group in (sample[visit], visit))


def cumulate(sums, sample_offsets):
    """Sums of visits, each with those of the visits of its sample before it."""
    # In double precision what other samples add and take away again leaves no trace.
    until = F.pad(sums.double().cumsum(0), (0, 0, 1, 0))
    before = until[sample_offsets[:-1]].repeat_interleave(sample_offsets.diff(), dim=0)
    return (until[1:] - before).to(sums.dtype)


def _steps_within(cell):
    """``log1p(k) - log1p(k - 1)`` where a cell is met for the k-th time."""
    cell, order = cell.sort(stable=True)
    place = torch.arange(len(cell), device=cell.device)
    is_first = F.pad(cell.diff() != 0, (1, 0), value=True)[: len(cell)]
    first = torch.where(is_first, place, 0).cummax(0).values
    step = (1 / (place - first + 1)).log1p()
    return torch.empty_like(step).index_copy(0, order, step)


def _weighted_sums(tokens, weight, offsets, per_token):
    return F.embedding_bag(
        tokens, weight, offsets, mode="sum", per_sample_weights=per_token, include_last_offset=True
    )
