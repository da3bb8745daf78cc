"""Draws from a generator of one's own, where torch draws from its global one."""

import math
from contextlib import contextmanager, nullcontext

from torch import nn


def draw_weights(module, generator):
    """Draw the weights of a module's layers as torch does when it builds them."""
    for layer in module.modules():
        if isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, generator=generator)
        elif isinstance(layer, nn.Linear):
            _draw_uniform(layer, layer.in_features, generator)
        elif isinstance(layer, nn.LSTM):
            _draw_uniform(layer, layer.hidden_size, generator)


def redrawing(generator):
    """Arguments with which torch's `checkpoint` draws the same again when it computes again."""
    if generator is None:
        return {"preserve_rng_state": True}
    return {"context_fn": lambda: (nullcontext(), _in_state(generator, generator.get_state()))}


@contextmanager
def _in_state(generator, state):
    found = generator.get_state()
    generator.set_state(state)
    try:
        yield
    finally:
        generator.set_state(found)


def _draw_uniform(layer, size, generator):
    for weight in layer.parameters():
        nn.init.uniform_(weight, -1 / math.sqrt(size), 1 / math.sqrt(size), generator=generator)
