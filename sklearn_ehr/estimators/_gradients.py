"""Integrated gradients of outputs, on the embeddings of codes."""

from contextlib import nullcontext

import numpy as np
import torch

from ..utils import concatenate_ranges
from ._device import plain_torch
from ._inputs import as_batch, batches_by_length, known_tokens, read_times

_FEWEST_NODES, _MOST_NODES = 8, 512
# Vectors of 256 numbers, and the gradient's, take 32 MiB each.
_MOST_TOKENS = 2**15


def integrated_gradients(estimator, sequences, tolerance):
    """Integrate gradients from zero vectors to the embeddings of the tokens of each sample.

    Gauss-Legendre nodes are doubled, from 8 up to 512, until the contributions of a sample sum to
    the difference that they explain.

    Parameters
    ----------
    estimator : LSTMVisitClassifier or LSTMVisitRegressor
    sequences : VisitSequences
    tolerance : float
        Largest error of the sum, in the scale in which the network is trained.

    Returns
    -------
    contributions : ndarray of shape (n_tokens, n_outputs)
        On the scale of `outputs_of`.
    is_exact : ndarray of bool, shape (n_samples,)
        Whether the sum is within the tolerance.
    """
    net, outcome = estimator.net_, estimator._outcome
    first = sequences.visit_offsets[sequences.sample_offsets]
    n_tokens = np.diff(first)
    path = _Path(net, sequences, outcome.is_log)
    contributions = np.zeros((len(sequences.tokens), net.module_.head.out_features))
    is_exact = n_tokens == 0
    # cuDNN runs an LSTM backward in training mode only.
    is_cuda = torch.device(net.device).type == "cuda"
    without_cudnn = torch.backends.cudnn.flags(enabled=False) if is_cuda else nullcontext()
    some = np.flatnonzero(n_tokens)
    with plain_torch(net.device), without_cudnn:
        for part in batches_by_length(n_tokens[some], estimator.batch_size, _MOST_TOKENS):
            samples, n_nodes = some[part], _FEWEST_NODES
            while len(samples) and n_nodes <= _MOST_NODES:
                found, error = path.integrate(samples, n_nodes)
                contributions[concatenate_ranges(first[samples], first[samples + 1])] = found
                is_exact[samples] = error <= tolerance
                samples, n_nodes = samples[error > tolerance], 2 * n_nodes
    return contributions * outcome.scale, is_exact


class _Path:
    """Straight path of a net's samples from zero vectors to the embeddings of their tokens."""

    def __init__(self, net, sequences, is_log):
        self.module, self.device = net.module_, net.device
        self.sequences = known_tokens(sequences, self.module.embedding.num_embeddings)
        self.times = read_times(sequences, by_visit=False) if self.module.time_gaps else None
        self.is_log = is_log

    def integrate(self, samples, n_nodes):
        """Contribution of each token of the samples, and the error of the sum of each sample."""
        times = None if self.times is None else self.times[self.sequences.visits_of(samples)]
        batch = as_batch(self.sequences[samples], times).to(self.device)
        ends = self.module.embedding.weight.detach()[batch.tokens]
        nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
        contributions = sum(
            weight / 2 * self._slopes(batch, ends, (1 + node) / 2)
            for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True)
        )
        with torch.no_grad():
            change = self._outputs(batch, ends) - self._outputs(batch, torch.zeros_like(ends))
        sample = np.repeat(
            np.arange(len(samples)), batch.visit_offsets[batch.sample_offsets].diff()
        )
        error = -change.double().cpu().numpy()
        np.add.at(error, sample, contributions)
        return contributions, np.abs(error).max(axis=1)

    def _slopes(self, batch, ends, share):
        """Slope of the outputs along the path, by token, at a share of its length."""
        here = (share * ends).requires_grad_()
        outputs = self._outputs(batch, here).sum(dim=0)
        slopes = []
        for output in outputs:
            (gradient,) = torch.autograd.grad(output, here, retain_graph=True)
            slopes.append((gradient * ends).sum(dim=1))
        return torch.stack(slopes, dim=1).double().cpu().numpy()

    def _outputs(self, batch, embedded):
        outputs = self.module(batch, embedded)
        return outputs.exp() if self.is_log else outputs
