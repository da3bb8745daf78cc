"""Runs of single LSTM layers."""

import warnings

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def run_layers(lstm, dropout, visits, batch_sizes):
    """Output of the last layer for packed visits, with our own dropout between layers.

    torch draws its dropout between layers from its global generator.
    """
    n_ways = 2 if lstm.bidirectional else 1
    state = (visits.new_zeros(n_ways, int(batch_sizes[0]), lstm.hidden_size),) * 2
    # With biases, one layer, no dropout in it.
    options = (True, 1, 0.0, lstm.training, lstm.bidirectional)
    for layer in range(lstm.num_layers):
        if layer:
            visits = dropout(visits)
        ways = lstm.all_weights[layer * n_ways : (layer + 1) * n_ways]
        weights = [weight for way in ways for weight in way]
        with warnings.catch_warnings():
            # cuDNN wants the weights of all layers together.
            warnings.filterwarnings("ignore", "RNN module weights are not part")
            visits, *_ = torch.lstm(visits, batch_sizes, state, weights, *options)
    return visits


def lay_out(visits, stretches):
    """Vectors of the visits of each stretch, of shape (n_steps, n_samples, n_features)."""
    if not torch.is_grad_enabled():
        return (nn.functional.embedding(stretch, visits) for stretch in stretches)
    # Together, as each lookup would have a gradient of the size of all visits.
    rows = torch.cat([stretch.flatten() for stretch in stretches])
    parts = nn.functional.embedding(rows, visits).split([s.numel() for s in stretches])
    return (part.view(*s.shape, -1) for part, s in zip(parts, stretches, strict=True))


def recomputed(function, *arguments, preserve_rng_state=False, **options):
    """Call a function now, and again in the backward pass instead of keeping what it computes."""
    if not torch.is_grad_enabled():
        return function(*arguments)
    options |= {"use_reentrant": False, "preserve_rng_state": preserve_rng_state}
    return checkpoint(function, *arguments, **options)
