"""State of a training between two epochs: of the net, its random numbers, and its callbacks."""

from copy import deepcopy
from inspect import signature

import numpy as np

from ._net_state import restore, state_of_net


def state_of_training(net):
    """Everything that the epochs to come depend on, as tensors, arrays and plain values."""
    return {
        "net": state_of_net(net),
        "generators": [generator.get_state() for generator in _generators(net)],
        "callbacks": [_state_of_callback(callback, net) for _, callback in net.callbacks_[:-1]],
    }


def restore_training(net, state):
    """Put a training that begins into a state of one with the same callbacks.

    The last callback is the one that keeps and restores.
    """
    restore(net, state["net"])
    for generator, found in zip(_generators(net), state["generators"], strict=True):
        generator.set_state(found)
    callbacks = [callback for _, callback in net.callbacks_[:-1]]
    for callback, attributes in zip(callbacks, state["callbacks"], strict=True):
        for name, (kind, value) in attributes.items():
            if kind == "loads":
                getattr(callback, name).load_state_dict(value)
            else:
                setattr(callback, name, value)


def _generators(net):
    """Generators of batches, and of what is dropped; on a CPU they are one."""
    generators = [net.generator_, net.module_.dropout.generator]
    return generators[:1] if generators[0] is generators[1] else generators


def _state_of_callback(callback, net):
    """Attributes of a callback that can be kept: numbers, texts, weights, and what has a state.

    Everything else is skipped, because it may be data, such as the outcomes that a scoring callback
    collects.
    """
    of_net = net.module_, net.criterion_, net.optimizer_
    given, attributes = signature(type(callback).__init__).parameters, {}
    for name, value in vars(callback).items():
        if name in given or isinstance(value, type) or any(value is part for part in of_net):
            continue
        if isinstance(value, (bool, int, float, str, np.generic, type(None))):
            attributes[name] = "is", value
        elif hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
            attributes[name] = "loads", deepcopy(value.state_dict())
        elif isinstance(value, dict) and value.keys() == net.module_.state_dict().keys():
            attributes[name] = "is", deepcopy(value)
    return attributes
