"""Device and random seed of a network."""

import threading
from contextlib import contextmanager

import torch

_TRAINING = threading.RLock()


def choose_device(device):
    """The torch device that a parameter `device` asks for, as a string."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} is not to be had here ({type(error).__name__}). Use 'auto', 'cpu', "
            f"or a device that torch sees."
        ) from error
    return device


@contextmanager
def own_randomness(seed, device):
    """Seed torch for the block and leave its global state as it was found.

    The state is one for all threads, so those of a joblib pool train one after the other.
    """
    is_cuda = torch.device(device).type == "cuda"
    with _TRAINING, torch.random.fork_rng(devices=[torch.device(device)] if is_cuda else []):
        torch.default_generator.manual_seed(int(seed))
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(int(seed))
        yield
