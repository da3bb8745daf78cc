"""How a linear model of code counts is fitted, and how much of it a trained network takes on."""

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from .._ragged import offsets_from_lengths
from ..nn import CodeCountLinear
from ..nn._counts import cumulate, log1p_steps
from ._inputs import as_batch

# As 1 / C of logistic regression; what it shrinks too far, the share of the linear term mends.
_PENALTY = 100.0


def choose_shares(net, training, validation):
    """Choose how much of a linear term over code counts to add to a trained net [1]_.

    The linear model is ridge regression, fitted by itself. Its logits and the network's are added
    up, the network's times a number from 0 to 1, those of the linear model times one of at least 0,
    and a constant of each output, which brings the sum to the base rate. That, or one of them
    alone, is taken by Schwarz's criterion [2]_ on the validation data.

    Parameters
    ----------
    net : VisitNet
    training, validation : VisitDataset

    Returns
    -------
    constant : ndarray of shape (n_outputs,)
    share_of_net, share_of_linear : float

    References
    ----------
    .. [1] D. H. Wolpert, "Stacked generalization", Neural Networks 5(2), 1992, p. 241-259.
    .. [2] G. Schwarz, "Estimating the dimension of a model", Annals of Statistics 6(2), 1978,
       p. 461-464.
    """
    weights = _fit(net, training, CodeCounts(training, _n_ids(net)))
    of_linear = CodeCounts(validation, _n_ids(net)).dot(weights)
    return _shares(net, validation, _outputs(net, validation), of_linear)


def add_linear_term(net, data, constant, share_of_net, share_of_linear):
    """Fit a linear term, and have a net answer with as much of itself and of this as is said."""
    module, n_ids = net.module_, _n_ids(net)
    if share_of_linear > 0:
        weights = _fit(net, data, CodeCounts(data, n_ids)) * np.float32(share_of_linear)
        module.linear = CodeCountLinear(n_ids, module.head.out_features).requires_grad_(False)
        parts = torch.from_numpy(weights).split([1, n_ids, n_ids])
        of_linear, module.linear.history[:], module.linear.last_visit[:] = parts
        module.linear.to(net.device)
        constant = constant + of_linear[0].numpy()
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
        steps = [log1p_steps(as_batch(block)) for block in sequences._blocks()]
        of_history, of_visit = (torch.cat(part).numpy() for part in zip(*steps, strict=True))
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
    """A constant and how much of both to add to it, by the loss and by how much is added."""
    n_outputs = of_net.shape[1]
    parts = np.stack([of_net, of_linear])
    # Around their means, as each has the base rate in it.
    means = parts.mean(axis=1, keepdims=True)
    parts = parts - means

    def objective(flat):
        constant, shares = np.split(flat.astype(np.float32), [n_outputs])
        loss, gradient = _loss(net, data, constant + np.tensordot(shares, parts, axes=1))
        of_shares = np.tensordot(parts, gradient, axes=2)
        return loss, np.concatenate([gradient.sum(axis=0), of_shares]).astype(np.float64)

    def fit(*bounds):
        start = [*means[0, 0], *(0.5 if upper != 0 else 0 for _, upper in bounds)]
        found = _minimize(objective, start, bounds=[(None, None)] * n_outputs + list(bounds))
        constant, shares = np.split(found.x, [n_outputs])
        cost = np.log(data.n_outcomes) / 2 / data.n_outcomes
        criterion = found.fun + np.count_nonzero(shares) * cost
        return criterion, constant - shares @ means[:, 0], *shares

    share_of_net, share_of_linear, none = (0, 1), (0, None), (0, 0)
    fits = fit(share_of_net, none), fit(none, share_of_linear), fit(share_of_net, share_of_linear)
    return min(fits, key=lambda fit: fit[0])[1:]


def _minimize(objective, start, **options):
    # Threads of BLAS and of torch in turn wait for each other, longer than either works.
    with threadpool_limits(1, user_api="blas"):
        return minimize(objective, start, jac=True, method="L-BFGS-B", **options)


def _n_ids(net):
    return net.module_.embedding.num_embeddings
