"""Encoder that pools the codes of each visit into one vector."""

import torch
from torch import nn
from torch.nn import functional as F

_AGGREGATIONS = ("mean", "sum", "max", "attention")


class VisitEncoder(nn.Module):
    """Aggregate the code embeddings of each visit into one vector.

    The order of codes within a visit has no meaning, so every aggregation is a pooling. A visit
    without codes is a zero vector under all of them.

    Parameters
    ----------
    embedding_dim : int
        Size E of a code's embedding, and of a visit's vector.
    aggregation : {"mean", "sum", "max", "attention"}, default="mean"
        How codes are pooled. ``"sum"`` is the visit embedding of RETAIN [1]_. ``"attention"``
        scores each code by Linear(E, E // 2), Tanh, Linear(E // 2, 1), takes the softmax of the
        scores of a visit, and sums the embeddings by these weights, as word attention does [2]_.

    Attributes
    ----------
    attention : torch.nn.Sequential or None
        The scoring network; None unless ``aggregation="attention"``.

    Raises
    ------
    ValueError
        If `aggregation` is none of the four.

    References
    ----------
    .. [1] Choi et al. (2016). RETAIN: An Interpretable Predictive Model for Healthcare using
       Reverse Time Attention Mechanism. NIPS 29, 3504-3512.
    .. [2] Yang et al. (2016). Hierarchical Attention Networks for Document Classification.
       NAACL-HLT, 1480-1489.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ehr.nn import VisitEncoder
    >>> weight = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 3.0], [2.0, 5.0]])
    >>> encoder = VisitEncoder(embedding_dim=2)
    >>> encoder(weight, tokens=torch.tensor([2, 3]), visit_offsets=torch.tensor([0, 2, 2]))
    tensor([[1.5000, 4.0000],
            [0.0000, 0.0000]])
    """

    def __init__(self, embedding_dim, aggregation="mean"):
        super().__init__()
        if aggregation not in _AGGREGATIONS:
            accepted = ", ".join(map(repr, _AGGREGATIONS))
            raise ValueError(f"aggregation={aggregation!r} is not known; use one of {accepted}.")
        self.embedding_dim = embedding_dim
        self.aggregation = aggregation
        self.attention = _scoring_network(embedding_dim) if aggregation == "attention" else None

    def forward(self, weight, tokens, visit_offsets):
        """Encode ragged visits.

        Parameters
        ----------
        weight : Tensor, shape (vocab_size, E)
            The embedding table.
        tokens : Tensor of int64, shape (n_tokens,)
            Token ids of all visits, one after the other.
        visit_offsets : Tensor of int64, shape (n_visits + 1,)
            Where each visit starts in `tokens`; the last entry is ``n_tokens``.

        Returns
        -------
        Tensor, shape (n_visits, E)
        """
        if self.aggregation == "attention":
            mode, code_weights = "sum", self.attention_weights(weight, tokens, visit_offsets)
            if code_weights.requires_grad and not weight.requires_grad:
                # torch 2.5 has no gradient of the weights if the vectors need none.
                weight = weight.detach().requires_grad_()
        else:
            mode, code_weights = self.aggregation, None
        return F.embedding_bag(
            tokens,
            weight,
            visit_offsets,
            mode=mode,
            per_sample_weights=code_weights,
            include_last_offset=True,
        )

    def attention_weights(self, weight, tokens, visit_offsets):
        """Weigh each code within its visit, for ``aggregation="attention"``.

        Parameters
        ----------
        weight, tokens, visit_offsets
            As in `forward`.

        Returns
        -------
        Tensor, shape (n_tokens,)
            Weights that sum to one within each visit that has codes.

        Raises
        ------
        ValueError
            Under another aggregation, which has no such weights.
        """
        if self.attention is None:
            raise ValueError(
                f"aggregation={self.aggregation!r} has no attention weights; build the encoder "
                "with aggregation='attention' to have them."
            )
        # A score depends on the code alone, and a batch repeats its codes many times over.
        distinct, which = torch.unique(tokens, return_inverse=True)
        distinct_scores = self.attention(F.embedding(distinct, weight)).squeeze(-1)
        # gather, as indexing accumulates its gradient with atomic adds: not the same bits twice.
        return _softmax_within_visits(distinct_scores.gather(0, which), visit_offsets)

    def forward_padded(self, embeddings, mask=None):
        """Encode padded visits: the readable reference of `forward`.

        Parameters
        ----------
        embeddings : Tensor, shape (n_visits, n_codes, E)
            The embedded codes of each visit, padded to the longest.
        mask : Tensor of bool, shape (n_visits, n_codes), default=None
            True where a code is real. None: all are.

        Returns
        -------
        Tensor, shape (n_visits, E)

        Raises
        ------
        ValueError
            If `mask` does not fit `embeddings`, or is not bool.
        """
        if mask is None:
            mask = torch.ones(embeddings.shape[:2], dtype=torch.bool, device=embeddings.device)
        check_mask(mask, "mask", embeddings.shape[:2])
        padding = ~mask.unsqueeze(-1)
        embeddings = embeddings.masked_fill(padding, 0)
        if self.aggregation == "sum" or embeddings.shape[1] == 0:
            return embeddings.sum(dim=1)
        if self.aggregation == "mean":
            return embeddings.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        if self.aggregation == "max":
            greatest = embeddings.masked_fill(padding, -torch.inf).max(dim=1).values
            return greatest.masked_fill(padding.all(dim=1), 0)
        # The least finite score, not minus infinity: a visit of padding alone would give NaN.
        scores = self.attention(embeddings)
        scores = scores.masked_fill(padding, torch.finfo(scores.dtype).min)
        return (scores.softmax(dim=1) * embeddings).sum(dim=1)

    def extra_repr(self):
        """Return what ``print(encoder)`` shows of it."""
        return f"embedding_dim={self.embedding_dim}, aggregation={self.aggregation!r}"


def check_mask(mask, name, shape):
    """Raise a ValueError that names the mask unless it is bool and of this shape."""
    if mask.dtype != torch.bool or mask.shape != shape:
        raise ValueError(
            f"{name} is {mask.dtype} of shape {tuple(mask.shape)}; torch.bool of shape "
            f"{tuple(shape)} is needed: True where real, False where padded."
        )


def complete_masks(codes, mask, visit_mask):
    """Masks of codes and of visits, made of the codes where they are None, and checked."""
    mask = codes != 0 if mask is None else mask
    check_mask(mask, "mask", codes.shape)
    if (mask & (codes == 0)).any():
        raise ValueError("mask is True where codes is 0, which is padding; make it False there.")

    has_code = mask.any(dim=2)
    if visit_mask is None:
        return mask, has_code.flip(1).cumsum(dim=1).flip(1) > 0
    check_mask(visit_mask, "visit_mask", codes.shape[:2])
    if (has_code & ~visit_mask).any():
        raise ValueError("visit_mask is False for visits with codes; make it True, or mask these.")
    if (visit_mask[:, 1:] & ~visit_mask[:, :-1]).any():
        raise ValueError("visit_mask has padding before a real visit; move it to the end.")
    return mask, visit_mask


def _scoring_network(embedding_dim):
    bottleneck = max(embedding_dim // 2, 1)
    return nn.Sequential(nn.Linear(embedding_dim, bottleneck), nn.Tanh(), nn.Linear(bottleneck, 1))


def _softmax_within_visits(scores, visit_offsets):
    visit = torch.repeat_interleave(visit_offsets.diff(), output_size=len(scores))
    n_visits = len(visit_offsets) - 1
    # The greatest score only keeps exp in range; it cancels, so no gradient passes through it.
    peak = scores.new_full((n_visits,), -torch.inf)
    peak = peak.scatter_reduce(0, visit, scores.detach(), reduce="amax")
    odds = (scores - peak.gather(0, visit)).exp()
    total = scores.new_zeros(n_visits).scatter_add(0, visit, odds)
    return odds / total.gather(0, visit)
