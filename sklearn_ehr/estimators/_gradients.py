"""Integrated gradients of outputs, on the embeddings of codes."""

from contextlib import nullcontext

import numpy as np
import torch

from ..utils import concatenate_ranges
from ._device import plain_torch
from ._inputs import as_batch, batches_by_length, known_tokens, read_times, refuse_nonfinite

_N_NODES = 8
# Share of a path, and number of pieces for each sample, down to which pieces are halved.
_NARROWEST = 2**-16
_MOST_PIECES = 128
# Vectors of 256 numbers take 32 MiB.
_MOST_TOKENS = 2**15


def integrated_gradients(estimator, sequences, tolerance):
    """Integrate gradients from zero vectors to the embeddings of the tokens of each sample.

    A path is integrated with 8 Gauss-Legendre nodes. Where the contributions do not sum to the
    change of the outputs, it is cut in two halves, and these likewise: outputs may jump on the way.

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
    estimator._refuse_other_input(sequences)
    net, outcome = estimator.net_, estimator._outcome
    known = known_tokens(sequences, net.module_.embedding.num_embeddings)
    first = known.visit_offsets[known.sample_offsets]
    contributions = np.zeros((len(known.tokens), net.module_.head.out_features))
    is_exact = np.ones(len(known), dtype=bool)
    # cuDNN runs an LSTM backward in training mode only.
    is_cuda = torch.device(net.device).type == "cuda"
    without_cudnn = torch.backends.cudnn.flags(enabled=False) if is_cuda else nullcontext()
    n_tokens = np.diff(first)
    some = np.flatnonzero(n_tokens)
    with plain_torch(net.device), without_cudnn:
        for part in batches_by_length(n_tokens[some], estimator.batch_size, _MOST_TOKENS):
            samples = some[part]
            found, error = _Paths(net, known[samples], outcome.is_log).integrate(tolerance)
            contributions[concatenate_ranges(first[samples], first[samples + 1])] = found
            is_exact[samples] = error <= tolerance
    refuse_nonfinite(contributions)
    return contributions * outcome.scale, is_exact


class _Paths:
    """Straight paths of samples from zero vectors to the embeddings of their tokens."""

    def __init__(self, net, sequences, is_log):
        self.module, self.device, self.is_log = net.module_, net.device, is_log
        self.sequences = sequences
        self.times = read_times(sequences, by_visit=False) if self.module.time_gaps else None
        self.first = sequences.visit_offsets[sequences.sample_offsets]

    def integrate(self, tolerance):
        """Contribution of each token, and the error of the sum of each sample."""
        n_samples, n_tokens = len(self.sequences), np.diff(self.first)
        n_outputs = self.module.head.out_features
        total, change = np.zeros((self.first[-1], n_outputs)), np.zeros((n_samples, n_outputs))
        todo = np.stack([np.arange(n_samples), np.zeros(n_samples), np.ones(n_samples)])
        n_pieces = 0
        while todo.size:
            pieces, todo = todo[:, :n_samples], todo[:, n_samples:]
            sample, start, width = pieces[0].astype(np.int64), pieces[1], pieces[2]
            n_pieces += len(sample)
            found, changed = self._integrate_pieces(sample, start, width)
            # The errors of the pieces add up; far below the tolerance, they are those of floats.
            tolerated = tolerance / 2 * np.maximum(width, 1 / 32)
            is_rough = _error(found, changed, n_tokens[sample]) > tolerated
            is_rough &= (width > _NARROWEST) & (n_pieces < _MOST_PIECES * n_samples)
            rows = concatenate_ranges(self.first[sample], self.first[sample + 1])
            is_done = np.repeat(~is_rough, n_tokens[sample])
            np.add.at(total, rows[is_done], found[is_done])
            np.add.at(change, sample[~is_rough], changed[~is_rough])
            sample, start, half = sample[is_rough], start[is_rough], width[is_rough] / 2
            todo = np.hstack([todo, [sample, start, half], [sample, start + half, half]])
        return total, _error(total, change, n_tokens)

    def _integrate_pieces(self, sample, start, width):
        """Contribution of each token over pieces of paths, and the change of outputs over each."""
        times = None if self.times is None else self.times[self.sequences.visits_of(sample)]
        batch = as_batch(self.sequences[sample], times).to(self.device)
        ends = self.module.embedding.weight.detach()[batch.tokens]
        n_tokens = batch.visit_offsets[batch.sample_offsets].diff()

        def place(share):
            """Vectors of the tokens at a share of each piece."""
            at = torch.from_numpy((start + share * width).astype(np.float32)).to(self.device)
            return at.repeat_interleave(n_tokens).unsqueeze(1) * ends

        nodes, weights = np.polynomial.legendre.leggauss(_N_NODES)
        shares = zip((1 + nodes) / 2, weights / 2, strict=True)
        mean = sum(weight * self._slopes(batch, place(share), ends) for share, weight in shares)
        contributions = mean * np.repeat(width, n_tokens.cpu())[:, None]
        with torch.no_grad():
            change = self._outputs(batch, place(1)) - self._outputs(batch, place(0))
        return contributions, change.double().cpu().numpy()

    def _slopes(self, batch, here, ends):
        """Slope of the outputs along the path, by token."""
        outputs = self._outputs(batch, here.requires_grad_()).sum(dim=0)
        slopes = []
        for output in outputs:
            (gradient,) = torch.autograd.grad(output, here, retain_graph=True)
            slopes.append((gradient * ends).sum(dim=1))
        return torch.stack(slopes, dim=1).double().cpu().numpy()

    def _outputs(self, batch, embedded):
        outputs = self.module(batch, embedded)
        return outputs.exp() if self.is_log else outputs


def _error(contributions, change, n_tokens):
    """Largest difference between sums of contributions and a change, by sample."""
    difference = -change
    np.add.at(difference, np.repeat(np.arange(len(change)), n_tokens), contributions)
    return np.abs(difference).max(axis=1)
