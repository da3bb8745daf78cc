"""Dropout that draws one random byte per unit."""

import torch
from torch import nn


class ByteDropout(nn.Dropout):
    """Dropout [1]_ that takes one random byte a unit on a CPU, where torch's takes a number.

    Drawing these numbers is much of a small network's training step. A byte tells shares of 256
    apart: the share dropped is the multiple of 1/256 next to `p`, and what is left is scaled by
    just that. On other devices it takes a number too.

    It draws from `generator`, on the device of its input; None is torch's global one.

    References
    ----------
    .. [1] Srivastava et al. (2014). Dropout: A Simple Way to Prevent Neural Networks from
       Overfitting. JMLR 15, 1929-1958.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ehr.nn._dropout import ByteDropout
    >>> _ = torch.manual_seed(0)
    >>> ByteDropout(0.5)(torch.ones(100_000)).unique()
    tensor([0., 2.])
    """

    generator = None

    def forward(self, input):
        """Return the units, in training a share of them set to zero."""
        if not self.training or self.p in (0, 1):
            return super().forward(input)
        if input.device.type == "cpu":
            n_kept = max(1, 256 - round(256 * self.p))
            is_kept = _random_bytes(input.shape, self.generator) <= n_kept - 1
            return input * is_kept.to(input.dtype).mul_(256 / n_kept)
        if self.generator is None:
            return super().forward(input)
        is_kept = torch.empty_like(input).bernoulli_(1 - self.p, generator=self.generator)
        return input * is_kept.div_(1 - self.p)


def _random_bytes(shape, generator):
    n_bytes = shape.numel()
    # Eight a number. random_ without bounds leaves the sign's bit at zero; with these it does not.
    numbers = torch.empty(-(-n_bytes // 8), dtype=torch.int64, device="cpu")
    numbers.random_(torch.iinfo(torch.int64).min, None, generator=generator)
    return numbers.view(torch.uint8)[:n_bytes].view(shape)
