"""Discrete-time hazards and their likelihood."""

import torch
from torch import nn


class DiscreteHazardLoss(nn.Module):
    """Negative log-likelihood of discrete-time hazards with right censoring.

    In each interval at risk a sample has one of the competing events or none, with probabilities
    that are a softmax of the logits of the events and a zero for none [1]_. With one event it is
    the logistic model of [2]_.

    Parameters
    ----------
    offset : array-like of shape (n_intervals, n_events)
        Added to the logits, so that a network that returns zeros has the hazards of all samples
        together.
    reduction : {"mean", "sum", "none"}, default="mean"
        What is made of the samples' losses.

    References
    ----------
    .. [1] J. D. Singer and J. B. Willett, "It's about time: using discrete-time survival analysis
       to study duration and the timing of events", Journal of Educational Statistics 18(2), 1993,
       p. 155-195.
    .. [2] M. F. Gensheimer and B. Narasimhan, "A scalable discrete-time survival model for neural
       networks", PeerJ 7:e6257, 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ehr.nn import DiscreteHazardLoss
    >>> loss = DiscreteHazardLoss(offset=[[0.0], [0.0]], reduction="none")
    >>> at_risk_twice_then_ill, lost_at_once = [0, 1], [-1, -1]
    >>> loss(torch.zeros(2, 2), torch.tensor([at_risk_twice_then_ill, lost_at_once])).exp()
    tensor([4., 1.])
    """

    def __init__(self, offset, reduction="mean"):
        super().__init__()
        self.register_buffer("offset", torch.as_tensor(offset, dtype=torch.float32))
        self.reduction = reduction

    def forward(self, outputs, target):
        """Return the loss.

        Parameters
        ----------
        outputs : Tensor, shape (n_samples, n_intervals * n_events)
            Logits, the events of an interval side by side.
        target : Tensor of int64, shape (n_samples, n_intervals)
            0 for no event, from 1 on for each, -1 where a sample was no longer at risk.

        Returns
        -------
        Tensor, shape () or (n_samples,)
        """
        log_hazards = self.log_hazards(outputs).transpose(1, 2)
        loss = nn.functional.nll_loss(log_hazards, target, ignore_index=-1, reduction="none")
        loss = loss.sum(dim=1)
        return loss if self.reduction == "none" else getattr(loss, self.reduction)()

    def log_hazards(self, outputs):
        """Return the logarithms of the probabilities of no event and of each, in each interval.

        Parameters
        ----------
        outputs : Tensor, shape (n_samples, n_intervals * n_events)

        Returns
        -------
        Tensor, shape (n_samples, n_intervals, 1 + n_events)
        """
        logits = outputs.view(-1, *self.offset.shape) + self.offset
        return nn.functional.pad(logits, (1, 0)).log_softmax(dim=2)
