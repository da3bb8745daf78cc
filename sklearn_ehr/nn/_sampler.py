"""Sampler of batches of histories of similar length."""

import torch


class LengthBucketSampler(torch.utils.data.Sampler):
    """Batches of samples of similar length, drawn anew in each pass.

    Samples are shuffled, dealt to pools of whole batches, sorted by length within a pool and cut
    into batches, whose order is shuffled in turn. Little is padded then, and a batch still holds
    other samples each time.

    Parameters
    ----------
    lengths : Tensor of int64, shape (n_samples,)
        Visits of each sample.
    batch_size : int
        Samples a batch; the last batch of the last pool may be smaller.
    pool_fraction : float, default=0.125
        Share of the batches that make a pool, rounded to at least one batch. With 0, batches are
        those of plain shuffling. The larger, the less is padded, and the more often the same
        samples share a batch: with 1 nearly always, which costs accuracy.
    generator : torch.Generator, default=None
        The generator that it draws from, on the CPU. None is torch's global one.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ehr.nn import LengthBucketSampler
    >>> lengths = torch.tensor([1, 9, 2, 8, 1, 9])
    >>> sampler = LengthBucketSampler(lengths, batch_size=3, pool_fraction=1.0)
    >>> sorted(sorted(lengths[batch].tolist()) for batch in sampler)
    [[1, 1, 2], [8, 9, 9]]
    """

    def __init__(self, lengths, batch_size, pool_fraction=0.125, generator=None):
        self.lengths = lengths
        self.batch_size = batch_size
        self.pool_fraction = pool_fraction
        self.generator = generator

    def __len__(self):
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self):
        """Yield the positions of each batch's samples, Tensors of int64."""
        shuffled = torch.randperm(len(self.lengths), generator=self.generator)
        batches_per_pool = max(1, round(self.pool_fraction * len(self)))
        pools = shuffled.split(batches_per_pool * self.batch_size)
        batches = [
            batch
            for pool in pools
            for batch in pool[self.lengths[pool].argsort(stable=True)].split(self.batch_size)
        ]
        for i in torch.randperm(len(batches), generator=self.generator):
            yield batches[i]
