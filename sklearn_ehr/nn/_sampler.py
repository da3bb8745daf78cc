"""Which samples share a batch: those of about as many visits."""

import torch


class LengthBucketSampler(torch.utils.data.Sampler):
    """Batches of samples of similar length, drawn anew in each pass by torch's global generator.

    Samples are shuffled, dealt to pools of several batches, sorted by length within a pool and cut
    into batches, whose order is shuffled in turn. Little is padded then, and a batch still holds
    other samples each time.

    Parameters
    ----------
    lengths : Tensor of int64, shape (n_samples,)
        Visits of each sample.
    batch_size : int
        Samples a batch; the last batch of the last pool may be smaller.
    n_batches_per_pool : int, default=2
        Batches in a pool. With one, batches are those of plain shuffling; the more, the less is
        padded, and the more often the same samples share a batch, which may cost accuracy.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ehr.nn import LengthBucketSampler
    >>> lengths = torch.tensor([1, 9, 2, 8, 1, 9])
    >>> sorted(sorted(lengths[batch].tolist()) for batch in LengthBucketSampler(lengths, 3))
    [[1, 1, 2], [8, 9, 9]]
    """

    def __init__(self, lengths, batch_size, n_batches_per_pool=2):
        self.lengths = lengths
        self.batch_size = batch_size
        self.n_batches_per_pool = n_batches_per_pool

    def __len__(self):
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self):
        """Yield the positions of each batch's samples, Tensors of int64."""
        shuffled = torch.randperm(len(self.lengths))
        pools = shuffled.split(self.batch_size * self.n_batches_per_pool)
        batches = [
            batch
            for pool in pools
            for batch in pool[self.lengths[pool].argsort(stable=True)].split(self.batch_size)
        ]
        for i in torch.randperm(len(batches)):
            yield batches[i]
