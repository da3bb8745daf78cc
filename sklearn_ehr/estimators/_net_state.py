"""State of a net: settings, weights, optimizer and history, as arrays and plain values."""

import json

import numpy as np
import torch

from ..nn import DiscreteHazardLoss, VisitLSTM
from ._device import is_available, plain_torch
from ._net import (
    VisitClassifierNet,
    VisitMultilabelNet,
    VisitNet,
    VisitRegressorNet,
    VisitTaggerNet,
)

_NETS = {
    net.__name__: net
    for net in (
        VisitNet,
        VisitClassifierNet,
        VisitMultilabelNet,
        VisitRegressorNet,
        VisitTaggerNet,
    )
}
_CRITERIA = {
    criterion.__name__: criterion
    for criterion in (
        torch.nn.BCEWithLogitsLoss,
        torch.nn.CrossEntropyLoss,
        torch.nn.MSELoss,
        torch.nn.L1Loss,
        torch.nn.PoissonNLLLoss,
        DiscreteHazardLoss,
    )
}
_SETTINGS = ("optimizer__weight_decay", "lr", "batch_size", "device", "max_epochs")


def make_net(net, criterion, callbacks=(), **settings):
    """A net that is not initialized yet."""
    return net(
        VisitLSTM,
        criterion=criterion,
        optimizer=torch.optim.AdamW,
        # Codes too rare to be learnt much about would lose what tells them apart.
        optimizer__param_groups=[("embedding.weight", {"weight_decay": 0.0})],
        optimizer__fused=True,
        train_split=None,
        callbacks=list(callbacks),
        callbacks__print_log=None,
        verbose=0,
        **settings,
    )


def size_of_net(net):
    """Bytes of the weights that a net will have."""
    with torch.device("meta"):
        module = VisitLSTM(**net.get_params_for("module"))
    return sum(4 * weight.numel() for weight in module.parameters())


def state_of_net(net):
    """The state of an initialized net; its arrays may be those of the net itself."""
    optimizer = net.optimizer_.state_dict()
    return {
        "net": type(net).__name__,
        "criterion": net.criterion.__name__,
        "settings": {name: value for name, value in vars(net).items() if _is_setting(name)},
        "weights": as_arrays(net.module_.state_dict()),
        "frozen": [name for name, p in net.module_.named_parameters() if not p.requires_grad],
        "moments": {
            f"{number}.{name}": array
            for number, moments in optimizer["state"].items()
            for name, array in as_arrays(moments).items()
        },
        "groups": optimizer["param_groups"],
        "history": json.dumps([_plain_epoch(epoch) for epoch in net.history]),
    }


def _is_setting(name):
    return name in _SETTINGS or name.startswith(("module__", "criterion__"))


def _plain_epoch(epoch):
    """The figures of an epoch without its batches; callbacks may have recorded anything."""
    plain = {"batches": []}
    for name, value in epoch.items():
        if isinstance(value, (np.generic, np.ndarray, torch.Tensor)):
            value = value.tolist()
        if name != "batches":
            is_plain = isinstance(value, (bool, int, float, str, list, type(None)))
            plain[name] = value if is_plain else str(value)
    return plain


def net_of_state(state):
    """A net in this state, without callbacks, on its device or else on the CPU.

    Raises for weights that are not those of such a net, before memory is taken for them.
    """
    settings, weights = dict(state["settings"]), state["weights"]
    if unknown := [name for name in settings if not _is_setting(name)]:
        raise ValueError(f"{unknown} are not settings of a net")
    if not is_available(settings["device"]):
        settings["device"] = "cpu"
    _check_sizes(settings, weights)
    net = make_net(_NETS[state["net"]], _CRITERIA[state["criterion"]], **settings)
    # What is drawn here is replaced; the callbacks of the estimator are not asked to begin.
    net.callbacks = None
    with plain_torch(net.device), net.seeded(0):
        net.initialize()
        restore(net, state)
    net.module_.eval()
    return net


def restore(net, state):
    """Put an initialized net into the state of one with the same settings."""
    net.module_.load_state_dict(as_tensors(state["weights"]))
    for name, parameter in net.module_.named_parameters():
        parameter.requires_grad_(name not in state["frozen"])
    moments = {}
    for name, tensor in as_tensors(state["moments"]).items():
        number, _, name = name.partition(".")
        moments.setdefault(int(number), {})[name] = tensor
    net.optimizer_.load_state_dict({"state": moments, "param_groups": state["groups"]})
    net.history[:] = json.loads(state["history"])


def as_arrays(tensors):
    """Tensors as arrays on the CPU, dict of name to array."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def as_tensors(arrays):
    """Arrays as tensors of their own, dict of name to tensor."""
    # On the CPU, whatever the user has set: they are copied to where they belong.
    return {name: torch.tensor(array, device="cpu") for name, array in arrays.items()}


def _check_sizes(settings, weights):
    """Raise unless the weights have the shapes of a module with these settings."""
    sizes = {
        name.removeprefix("module__"): value
        for name, value in settings.items()
        if name.startswith("module__")
    }
    # Each layer has several weights, and takes time to build.
    if not 1 <= sizes["num_layers"] <= len(weights):
        raise ValueError(f"{len(weights)} weights do not belong to {sizes['num_layers']} layers")
    with torch.device("meta"):
        expected = VisitLSTM(**sizes).state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in expected.items()}
    if shapes != {name: np.shape(weight) for name, weight in weights.items()}:
        raise ValueError("the shapes of its weights are not those of its network")
