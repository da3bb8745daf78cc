"""Linear model of code counts, and its share in the prediction of a trained network."""

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from ..nn import CodeCountLinear, cumulate, log1p_steps
from ..utils import offsets_from_lengths
from ._inputs import as_batch

# As 1 / C of logistic regression; what it shrinks too far, a share above 1 mends.
_PENALTY = 100.0
# No end to it where classes do not overlap.
_LARGEST_SHARE = 3.0
# Shares of the network and of the linear term.
NETWORK_ALONE = 1.0, 0.0


def choose_shares(net, training, validation):
    """Choose how much of a linear term over code counts to add to a trained net [1]_.

    The linear model is ridge regression, fitted by itself. Its logits and the network's are added
    up, the network's times a number from 0 to 1, those of the linear model times one from 0 to 3,
    and a constant. That, or one of them alone, is taken by Akaike's criterion [2]_ on the
    validation data; the network as it is where the constant alone would be. The criterion is exact
    where the loss is a log-likelihood, and a rule of thumb for errors of numbers.

    Parameters
    ----------
    net : VisitNet
    training, validation : VisitDataset

    Returns
    -------
    share_of_net, share_of_linear : float

    References
    ----------
    .. [1] D. H. Wolpert, "Stacked generalization", Neural Networks 5(2), 1992, p. 241-259.
    .. [2] H. Akaike, "A new look at the statistical model identification", IEEE Transactions on
       Automatic Control 19(6), 1974, p. 716-723.
    """
    weights = _fit(net, training, CodeCounts(training, _n_ids(net)))
    of_linear = CodeCounts(validation, _n_ids(net)).dot(weights)
    return _shares(net, validation, _outputs(net, validation), of_linear)


def combine(net, data, share_of_net, share_of_linear):
    """Have a net answer with so much of itself and of a linear term, which is fitted here.

    A constant is added that brings the sum to the base rate of the data, as it is weighted: trained
    with dropout, a network answers with more units than it was to.
    """
    module, n_ids = net.module_, _n_ids(net)
    outputs, constant = share_of_net * _outputs(net, data), 0
    if share_of_linear > 0:
        counts = CodeCounts(data, n_ids)
        weights = np.float32(share_of_linear) * _fit(net, data, counts)
        outputs, constant = outputs + counts.dot(weights), weights[0]
        module.linear = CodeCountLinear(n_ids, module.head.out_features).requires_grad_(False)
        _, history, last_visit = torch.from_numpy(weights).split([1, n_ids, n_ids])
        module.linear.history[:], module.linear.last_visit[:] = history, last_visit
        module.linear.to(net.device)
    constant = constant + _constant(net, data, outputs)
    with torch.no_grad():
        module.head.weight.mul_(share_of_net)
        bias = module.head.bias
        bias.mul_(share_of_net).add_(torch.as_tensor(constant).to(bias))


class CodeCounts:
    """``log1p`` of the counts of codes, as `CodeCountLinear` has them, after a column of ones.

    Parameters
    ----------
    data : VisitDataset
        With a row for each sample, or for each visit, as it has targets.
    n_ids : int
        Number of token ids.
    """

    def __init__(self, data, n_ids):
        sequences = data.sequences
        of_history, of_visit = _values_of_steps(sequences)
        offsets = sequences.visit_offsets
        visits = _ragged_matrix(of_visit, sequences.tokens, offsets, n_ids)
        self.sample_offsets = None
        if data.by_visit:
            self.sample_offsets = torch.from_numpy(sequences.sample_offsets)
            self.history = _ragged_matrix(of_history, sequences.tokens, offsets, n_ids)
            self.last_visit = visits
        else:
            starts = offsets[sequences.sample_offsets]
            self.history = _ragged_matrix(of_history, sequences.tokens, starts, n_ids)
            self.last_visit = _rows_of_last_visits(visits, sequences)

    def dot(self, weights):
        """Answers to weights of shape (1 + 2 * n_ids, n_outputs)."""
        history, last_visit = np.split(weights[1:], 2)
        sums = self.history @ history
        if self.sample_offsets is not None:
            sums = cumulate(torch.from_numpy(sums), self.sample_offsets).numpy()
        return weights[0] + sums + self.last_visit @ last_visit

    def gradient(self, of_answers):
        """Gradient with respect to weights, given that with respect to the answers."""
        of_sums = of_answers
        if self.sample_offsets is not None:
            # A visit's sum is in the answers from it on: the same from the last visit back.
            backwards = len(of_answers) - self.sample_offsets.flip(0)
            of_sums = cumulate(torch.from_numpy(of_answers).flip(0), backwards).flip(0).numpy()
        constant = of_answers.sum(axis=0, keepdims=True)
        return np.concatenate([constant, self.history.T @ of_sums, self.last_visit.T @ of_answers])


def _values_of_steps(sequences):
    """What each token adds, to the count of its code in the history and in the visit."""
    values = [np.empty(len(sequences.tokens), dtype=np.float32) for _ in range(2)]
    start = 0
    for block in sequences.blocks():
        end = start + len(block.tokens)
        for of_all, of_block in zip(values, log1p_steps(as_batch(block)), strict=True):
            of_all[start:end] = of_block.numpy()
        start = end
    return values


def _ragged_matrix(values, tokens, offsets, n_ids):
    # A code that comes again has several entries, which every product sums.
    return sparse.csr_matrix((values, tokens, offsets), shape=(len(offsets) - 1, n_ids))


def _rows_of_last_visits(visits, sequences):
    """One row a sample, empty for a sample without visits."""
    seen = sequences.lengths > 0
    last = visits[sequences.sample_offsets[1:][seen] - 1]
    n_entries = np.zeros(len(seen), dtype=np.int64)
    n_entries[seen] = np.diff(last.indptr)
    shape = len(seen), visits.shape[1]
    return sparse.csr_matrix((last.data, last.indices, offsets_from_lengths(n_entries)), shape)


def _outputs(net, data):
    """What a trained net answers, ndarray of shape (n_rows, n_outputs)."""
    with torch.inference_mode():
        outputs = torch.cat([net.infer(batch).cpu() for batch, _ in net.get_iterator(data)])
    return outputs.reshape(len(outputs), -1).numpy()


def _loss(net, data, outputs):
    """Loss of a net's criterion over a whole dataset, and its gradient at each output."""
    outputs = torch.from_numpy(outputs).requires_grad_()
    predicted = outputs if data.by_visit else outputs.squeeze(-1)
    loss = net.get_loss(predicted.to(net.device), data.target, (data.sequences, data.weight))
    loss.backward()
    return loss.item(), outputs.grad.numpy()


def _fit(net, data, counts, penalty=_PENALTY):
    """Weights of the lowest penalised loss, the constant not penalised."""
    shape = 1 + 2 * _n_ids(net), net.module_.head.out_features
    penalties = np.full((shape[0], 1), penalty / data.n_outcomes)
    penalties[0] = 0

    def objective(flat):
        weights = flat.reshape(shape)
        loss, of_answers = _loss(net, data, counts.dot(weights.astype(np.float32)))
        gradient = counts.gradient(of_answers) + penalties * weights
        return loss + (penalties * weights**2).sum() / 2, gradient.ravel().astype(np.float64)

    found = _minimize(objective, np.zeros(np.prod(shape)), options={"ftol": 1e-6})
    return found.x.reshape(shape).astype(np.float32)


def _shares(net, data, of_net, of_linear):
    """How much of both adds up to the outputs of the lowest loss, with one parameter or two."""
    parts = np.stack([of_net, of_linear])
    # Around their means, as each has the base rate in it.
    means = parts.mean(axis=1, keepdims=True)
    parts = parts - means

    def objective(flat):
        shares, constant = np.split(flat.astype(np.float32), [2])
        loss, gradient = _loss(net, data, constant + np.tensordot(shares, parts, axes=1))
        of_shares = np.tensordot(parts, gradient, axes=2)
        return loss, np.concatenate([of_shares, gradient.sum(axis=0)]).astype(np.float64)

    def fit(*largest):
        start = np.concatenate([np.minimum(largest, 0.5), means[0, 0]])
        bounds = [*((0, most) for most in largest), *([(None, None)] * means.shape[2])]
        found = _minimize(objective, start, bounds=bounds)
        return found.fun + np.count_nonzero(found.x[:2]) / data.n_outcomes, *found.x[:2]

    _, *best = min(fit(0, 0), fit(1, 0), fit(0, _LARGEST_SHARE), fit(1, _LARGEST_SHARE))
    # Where neither tells anything a constant would be best, but no ranking.
    return tuple(best) if any(best) else NETWORK_ALONE


def _constant(net, data, outputs):
    """What to add to outputs for the lowest loss."""

    def objective(constant):
        loss, gradient = _loss(net, data, outputs + constant.astype(np.float32))
        return loss, gradient.sum(axis=0).astype(np.float64)

    return _minimize(objective, np.zeros(outputs.shape[1])).x


def _minimize(objective, start, **options):
    # Threads of BLAS and of torch in turn wait for each other, longer than either works.
    with threadpool_limits(1, user_api="blas"):
        return minimize(objective, start, jac=True, method="L-BFGS-B", **options)


def _n_ids(net):
    return net.module_.embedding.num_embeddings
