"""Last step of a fit: the bias of the output layer."""

import torch

from ..nn import DiscreteHazardLoss


def fit_bias(net, dataset):
    """Refit the bias of a net's output layer to a dataset, with dropout turned off.

    With dropout, outputs vary more than in prediction, so the bias learnt in training is off on
    average. A bias that the user has frozen stays.
    """
    bias = net.module_.head.bias
    if not bias.requires_grad:
        return
    outputs = net.forward(dataset, device=net.device).double()
    target = torch.from_numpy(dataset.target)
    if target.is_floating_point():
        target = target.double()
    # Of the input, the loss reads no more than the lengths.
    X = dataset, torch.from_numpy(dataset.weight)
    n_shifts = bias.numel()
    if isinstance(net.criterion_, DiscreteHazardLoss):
        # One for each event, in all intervals: there are too few events to fit one in each.
        n_shifts = net.criterion_.offset.shape[1]
    shift = torch.zeros(n_shifts, dtype=torch.float64, device=bias.device, requires_grad=True)
    # Where an outcome never happens, the first tolerance keeps it possible.
    optimizer = torch.optim.LBFGS(
        [shift],
        max_iter=100,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def shifted():
        return shift.repeat(bias.numel() // n_shifts)

    def loss():
        optimizer.zero_grad()
        value = net.get_loss(outputs + shifted(), target, X)
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        bias += shifted()
