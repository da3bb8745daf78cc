"""Device of a network, and the state of torch that it runs in."""

from contextlib import contextmanager, nullcontext

import torch


def choose_device(device):
    """The torch device that a parameter `device` asks for, as a string."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not is_available(device):
        raise ValueError(
            f"device={device!r} is not available on this machine. Use 'auto', 'cpu', or a device "
            f"that torch sees."
        )
    return device


def is_available(device):
    """Whether torch can compute on a device of this name."""
    try:
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError):
        return False
    return True


@contextmanager
def plain_torch(device="cpu"):
    """State of torch for training and prediction, whatever the user has set.

    One thread, gradients, no autocast on the device, and new tensors on the CPU. All of it is the
    calling thread's own, so fits in several threads do not disturb each other. The default dtype is
    not, so code in here must name the types of what it makes.
    """
    # A default device costs time in every call of torch.
    is_cpu = torch.empty(0).device.type == "cpu"
    with (
        one_thread(),
        nullcontext() if is_cpu else torch.device("cpu"),
        torch.autocast(torch.device(device).type, enabled=False),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        yield


@contextmanager
def one_thread():
    """One thread for torch's operations on a CPU.

    OpenMP's threads spin while they wait for each other: beside another busy process several of
    them can take a hundred times as long as one. Small networks gain little by them.
    """
    found = torch.get_num_threads()
    if found == 1:
        # Perhaps from another fit: a thread begins with the number that another one set last.
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(found)
