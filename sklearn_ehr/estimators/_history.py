"""History of a training, and what it says about the net."""

import warnings
from numbers import Real

import pandas as pd


def best_epoch(history):
    """Number of the epoch with the highest validation score, or else the lowest loss."""
    if "valid_score" in history:
        return int(history["valid_score"].argmax()) + 1
    return int(history["valid_loss"].argmin()) + 1


def refuse_untrained(net):
    """Refuse a net that learnt nothing of use.

    skorch ends training quietly on a KeyboardInterrupt, which its callbacks raise to stop after an
    epoch; in the middle of one it comes from the user.
    """
    if not any(map(is_complete, net.history)):
        raise KeyboardInterrupt
    if not all(parameter.isfinite().all() for parameter in net.module_.parameters()):
        raise ValueError(diverged(net, "the network's weights are no longer finite"))


def diverged(net, how):
    """Message about a training that diverged."""
    return (
        f"Training diverged in epoch {len(net.history)}: {how}, with lr={net.lr}. Lower lr, or "
        f"look for a sample_weight or class_weight that is far too large."
    )


def warn_if_interrupted(net, checkpoint=None, *, stacklevel):
    """Tell of a net that the user kept from being trained further."""
    if not is_complete(net.history[-1]):
        further = "" if checkpoint is None else " Fit again to go on from the last checkpoint."
        warnings.warn(f"Training interrupted by user.{further}", UserWarning, stacklevel=stacklevel)


def is_complete(epoch):
    """Whether an epoch of the history was not interrupted."""
    return "dur" in epoch


def epochs(history, stage):
    """The figures of each complete epoch, one row each, after the stage that they belong to."""
    figures = [
        {"stage": stage}
        | {
            name: value
            for name, value in epoch.items()
            if isinstance(value, Real)
            and not name.startswith("event_")
            and not name.endswith(("_best", "_batch_count"))
        }
        for epoch in history
        if is_complete(epoch)
    ]
    return pd.DataFrame(figures)
