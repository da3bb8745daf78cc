"""Checkpoints of a fit, in a folder named after its fingerprint."""

import errno
import json
import os
import reprlib
import shutil
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch

from ..utils import checksum, library_versions, locked, sync_folder, warn_user
from ._building import build_net
from ._fingerprint import fingerprint_of
from ._history import is_complete
from ._net_state import restore, size_of_net
from ._training_state import restore_training, state_of_training

_FORMAT = 1
_LIBRARIES = ("sklearn_ehr", "numpy", "scikit-learn", "skorch", "torch")
# A checkpoint has weights, two moments of each, perhaps their average, and the best of them;
# callbacks may keep more.
_USUAL_WEIGHTS = 5
_MOST_WEIGHTS = 12
# The history of a thousand epochs takes less than one of these bytes in twenty.
_MOST_REST = 2**24
# Errors of JSON and safetensors for a state that they cannot hold.
_UNPACKABLE = (TypeError, ValueError, RuntimeError)


@contextmanager
def open_checkpoints(estimator, samples, validation, seeds, task):
    """The checkpoints of a fit of these samples, whose folder no other fit uses meanwhile."""
    if estimator.checkpoint is None:
        yield Checkpoints(None, None, seeds)
        return
    fingerprint = fingerprint_of(estimator, samples, validation, seeds)
    directory = Path(estimator.checkpoint)
    folder = directory / f"{type(estimator).__name__}-{fingerprint[:16]}"
    n_bytes = size_of_net(build_net(estimator, **task))
    with _locked(folder, estimator.checkpoint):
        for leftover in folder.glob("*.part"):
            leftover.unlink()
        _require_space(folder, n_bytes)
        yield Checkpoints(folder, fingerprint, seeds, n_bytes)


class Checkpoints:
    """Checkpoints of the trainings of one fit; without a folder there are none.

    `seeds` are those of the fit that was begun, if it can be resumed, and `n_bytes` is the size of
    the network's weights. `is_repeated` says whether no epoch was left to train.
    """

    def __init__(self, folder, fingerprint, seeds, n_bytes=0):
        self.folder, self.fingerprint, self.seeds = folder, fingerprint, seeds
        self.n_bytes, self.is_repeated = n_bytes, folder is not None
        self._stages = {}
        if folder is not None and (last := self.stage("fit").last):
            self.seeds = last["seeds"]

    def stage(self, name):
        """Checkpoints of one training of the fit, or None."""
        if self.folder is None:
            return None
        if name not in self._stages:
            self._stages[name] = StageCheckpoints(self, name)
        return self._stages[name]


class StageCheckpoints:
    """Checkpoints of one training: the watcher of a net."""

    def __init__(self, checkpoints, name):
        self._checkpoints, self._folder, self._name = checkpoints, checkpoints.folder, name
        self._facts = {
            "format": _FORMAT,
            "fingerprint": checkpoints.fingerprint,
            "versions": library_versions(*_LIBRARIES),
            "stage": name,
        }
        if name != "fit":
            self._facts["seeds"] = checkpoints.seeds
        self.last = self._newest()

    def begin(self, net):
        """Go on from the last checkpoint, once the other callbacks have begun."""
        try:
            pack(state_of_training(net))
        except _UNPACKABLE as error:
            raise ValueError(
                f"checkpoint cannot keep the state of one of the callbacks "
                f"({type(error).__name__}: {error}). Leave it out, or set checkpoint=None."
            ) from error
        if self.last is not None:
            with self._naming_file():
                restore_training(net, self.last["training"])
            self.last = None

    def begin_epoch(self, net):
        """Do nothing."""

    def end_epoch(self, net, is_stopped=False):
        """Keep the state after an epoch, unless it was interrupted."""
        if not is_complete(net.history[-1]):
            return
        state = self._facts | {
            "seeds": self._checkpoints.seeds,
            "is_stopped": is_stopped,
            "training": state_of_training(net),
        }
        path = self._folder / f"{self._name}-{len(net.history):05}.safetensors"
        try:
            _write(path, pack(state))
            for older in self._paths()[2:]:
                older.unlink()
        except (OSError, *_UNPACKABLE) as error:
            reason = getattr(error, "strerror", None) or error
            warn_user(
                f"Checkpoint {path} could not be written ({reason}). The training goes on, and the "
                f"checkpoints before are kept."
            )

    def prepare(self, net):
        """Have a net go on from the last checkpoint, for the epochs that are left."""
        if self.last is not None:
            # Before training begins, as schedules of the learning rate look at the history.
            with self._naming_file():
                restore(net, self.last["training"]["net"])
            n_left = net.max_epochs - len(net.history)
            net.max_epochs = 0 if self.last["is_stopped"] else max(0, n_left)
        if net.max_epochs:
            self._checkpoints.is_repeated = False

    def _paths(self):
        """Files of checkpoints, the newest first."""
        return sorted(self._folder.glob(f"{self._name}-*.safetensors"), reverse=True)

    def _newest(self):
        """State of the newest checkpoint that can be used; those that cannot are set aside."""
        for path in self._paths():
            try:
                state = unpack(path, _MOST_WEIGHTS * self._checkpoints.n_bytes + _MOST_REST)
                self._refuse_others(state)
                return state
            except Exception as error:
                with suppress(OSError):
                    path.replace(path.with_suffix(".refused"))
                warn_user(
                    f"Checkpoint {path} is not used, and renamed to .refused: {error}. An earlier "
                    f"one is used if there is one."
                )
        return None

    @contextmanager
    def _naming_file(self):
        """Name the checkpoint in errors of one that was made to look whole."""
        try:
            yield
        except Exception as error:
            raise ValueError(
                f"Checkpoint {self._paths()[0]} does not fit this training, although its checksum "
                f"does ({type(error).__name__}: {error}). Delete it, and fit again."
            ) from error

    def _refuse_others(self, state):
        """Raise for a checkpoint of another fit, format or version."""
        for name, expected in self._facts.items():
            if state[name] != expected:
                found = reprlib.repr(state[name])
                raise ValueError(f"{name} {found} is not that of this fit, {expected!r}")


def _require_space(folder, n_bytes):
    """Raise if the disk has no space for two checkpoints of a net, and a third in writing."""
    needed, free = 3 * _USUAL_WEIGHTS * n_bytes + 2**20, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"checkpoint needs up to {needed / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB are "
            f"free. Free space, or choose a directory on another disk",
            str(folder),
        )


def pack(state):
    """Bytes of a file of safetensors: tensors, and the rest as JSON in its metadata."""
    from safetensors.torch import save

    tensors = {}
    text = json.dumps(_split(state, tensors, ""))
    return save(tensors, {"state": text, "checksum": _checksum(text, tensors)})


def unpack(path, most_bytes):
    """The state in a file of at most this size; raises for one that is not whole."""
    from safetensors import safe_open

    if not path.is_file() or path.stat().st_size > most_bytes:
        raise ValueError("it is not a regular file, or too large for a checkpoint")
    with path.open("rb") as file:
        if int.from_bytes(file.read(8), "little") > _MOST_REST:
            raise ValueError("its header is too long, so it is damaged")
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    text = metadata.get("state", "")
    if metadata.get("checksum") != _checksum(text, tensors):
        raise ValueError("its checksum is wrong, so it is damaged")
    return _joined(json.loads(text), tensors)


def _split(value, tensors, path):
    """Plain values, with names in the place of tensors and arrays, which are put into `tensors`."""
    if isinstance(value, np.ndarray):
        tensors[path] = torch.from_numpy(np.asarray(value, order="C"))
        return {"array": path}
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {"tensor": path}
    if isinstance(value, Mapping):
        pairs = [[key, _split(item, tensors, f"{path}/{key}")] for key, item in value.items()]
        return {"dict": pairs}
    if isinstance(value, (list, tuple)):
        items = [_split(item, tensors, f"{path}/{i}") for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    return value.item() if isinstance(value, np.generic) else value


def _joined(value, tensors):
    """What `_split` took apart."""
    if isinstance(value, list):
        return [_joined(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    [(kind, part)] = value.items()
    if kind in ("array", "tensor"):
        return tensors[part].numpy() if kind == "array" else tensors[part]
    if kind == "tuple":
        return tuple(_joined(part, tensors))
    return {key: _joined(item, tensors) for key, item in part}


def _checksum(text, tensors):
    return checksum([text, {name: tensors[name].numpy() for name in sorted(tensors)}])


def _write(path, content):
    """Write a file that is there whole or not at all, whatever happens meanwhile."""
    part = NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False)  # noqa: SIM115
    try:
        with part:
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
        os.replace(part.name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part.name)
        raise
    sync_folder(path.parent)


def _locked(folder, checkpoint):
    """A folder that only this process uses."""
    try:
        from safetensors import safe_open  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "checkpoint needs filelock and safetensors, which are not installed: pip install "
            "sklearn_ehr[checkpoint]."
        ) from error
    in_use = (
        f"checkpoint={os.fspath(checkpoint)!r}: another fit of the same data and parameters is "
        f"using {folder}. Wait for it to end, or give this one another directory or random_state."
    )
    return locked(folder / "lock", "checkpoint", in_use=in_use, extra="checkpoint")
