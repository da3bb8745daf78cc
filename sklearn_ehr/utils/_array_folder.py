"""Folders of arrays that are mapped from disk, and are there whole or not at all."""

import errno
import json
import mmap
import os
import shutil
import zlib
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from math import prod
from pathlib import Path
from secrets import token_hex

import numpy as np
from numpy.lib import format as npy

from ._files import locked, sync_folder
from ._frames import shown

_MANIFEST = "manifest.json"
_FORMAT = 1
_BYTES_PER_BLOCK = 2**24


class ArrayFolderWriter:
    """Arrays that are written to a new folder, each of them part by part.

    `scratch` is a folder for whatever else is needed meanwhile.
    """

    def __init__(self, folder, scratch, files):
        self.folder, self.scratch = folder, scratch
        self._files = files
        self._arrays = {}

    def append(self, name, part):
        """Append to an array of numbers, booleans or datetimes along its first axis."""
        part = np.ascontiguousarray(part)
        if name not in self._arrays:
            self._arrays[name] = _ArrayFile(self.folder / f"{name}.npy", part, self._files)
        self._arrays[name].append(part)

    def append_ids(self, name, ids):
        """Append to an array of identifiers: numbers, datetimes, or strings, some of them None."""
        if ids.dtype != object:
            self.append(name, ids)
            return
        if not all(isinstance(value, str | None) for value in ids):
            raise TypeError(
                f"On disk, identifiers and codes must be strings, numbers or datetimes, but {name} "
                f"are other objects. Convert them with .astype(str)."
            )
        texts = [b"" if text is None else text.encode() for text in ids]
        lengths = [-1 if text is None else len(code) for text, code in zip(ids, texts, strict=True)]
        self.append(f"{name}.utf8", np.frombuffer(b"".join(texts), dtype=np.uint8))
        self.append(f"{name}.lengths", np.array(lengths, dtype=np.int64))

    def finish(self, kind, attributes):
        """Complete all files, and write the manifest that makes the folder valid."""
        arrays = {name: array.finish() for name, array in self._arrays.items()}
        content = {"kind": kind, "format": _FORMAT, "id": token_hex(16)}
        content |= {"attributes": attributes, "arrays": arrays}
        text = json.dumps(content, indent=1)
        sealed = json.dumps({"crc32": zlib.crc32(text.encode()), "content": text})
        with open(self.folder / _MANIFEST, "w", encoding="utf-8") as file:
            file.write(sealed)
            _flush(file)


class _ArrayFile:
    """One array that grows in a file of numpy's format."""

    def __init__(self, path, part, files):
        self._file = files.enter_context(_create(path))
        self._dtype, self._shape = part.dtype, part.shape[1:]
        self._n, self._crc32 = 0, 0
        # numpy leaves room in the header for the length to grow.
        self._write_header()

    def append(self, part):
        if part.dtype != self._dtype:
            raise TypeError(f"Parts of one array have dtypes {self._dtype} and {part.dtype}.")
        data = part.reshape(-1).view(np.uint8).data
        self._crc32 = zlib.crc32(data, self._crc32)
        self._file.write(data)
        self._n += len(part)

    def finish(self):
        self._file.seek(0)
        self._write_header()
        self._file.seek(0, os.SEEK_END)
        n_bytes = self._file.tell()
        _flush(self._file)
        return {"shape": [self._n, *self._shape], "n_bytes": n_bytes, "crc32": self._crc32}

    def _write_header(self):
        shape = (self._n, *self._shape)
        descr = npy.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._file, header)


class ArrayFolder:
    """Arrays of a complete folder, mapped when they are asked for."""

    def __init__(self, directory, content):
        self.directory = directory
        self.id = content["id"]
        self.attributes = content["attributes"]
        self._arrays = content["arrays"]
        self._maps = []

    def __contains__(self, name):
        return name in self._arrays or f"{name}.lengths" in self._arrays

    def array(self, name):
        """An array, mapped read-only; None if the folder does not have it."""
        if name not in self._arrays:
            return None
        with (self.directory / f"{name}.npy").open("rb") as file:
            npy.read_magic(file)
            shape, _, dtype = npy.read_array_header_1_0(file)
            if list(shape) != self._arrays[name]["shape"]:
                _refuse_torn(self.directory, f"{name}.npy is not as long as it was")
            if not prod(shape):
                # Nothing cannot be mapped.
                return np.empty(shape, dtype)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps.append(mapped)
            return np.frombuffer(mapped, dtype, offset=file.tell()).reshape(shape)

    def release(self):
        """Let the system take back the pages of mapped arrays, which it reads again when needed.

        It would do so when memory is short, but till then they count as memory of this process.
        """
        for mapped in self._maps:
            if hasattr(mapped, "madvise"):
                mapped.madvise(mmap.MADV_DONTNEED)

    def ids(self, name):
        """Identifiers: mapped numbers, or an array of strings in memory."""
        if name in self._arrays or name not in self:
            return self.array(name)
        lengths = self.array(f"{name}.lengths")
        offsets = np.append(0, np.maximum(lengths, 0).cumsum()).tolist()
        text = self.array(f"{name}.utf8").tobytes()
        ids = np.empty(len(lengths), dtype=object)
        ids[:] = [text[start:end].decode() for start, end in pairwise(offsets)]
        ids[lengths < 0] = None
        return ids

    def verify(self):
        """Raise unless every byte is as it was written."""
        for name, facts in self._arrays.items():
            array, crc32 = self.array(name), 0
            data = array.reshape(-1).view(np.uint8)
            for start in range(0, len(data), _BYTES_PER_BLOCK):
                crc32 = zlib.crc32(data[start : start + _BYTES_PER_BLOCK].data, crc32)
            if crc32 != facts["crc32"]:
                _refuse_torn(self.directory, f"{name}.npy has changed")


@contextmanager
def new_folder(directory):
    """Write a folder of arrays that is there whole after this, or not at all.

    It is written beside its place, to a folder that only one process uses, and which the next one
    clears if this process is killed.
    """
    directory = Path(os.path.abspath(directory))
    refuse_existing(directory)
    work = directory.with_name(f"{directory.name}.unfinished")
    in_use = (
        f"directory={shown(str(directory))} is being written by another process. Wait for it to "
        f"end, or choose another directory."
    )
    with locked(work, "directory", in_use=in_use, extra="store"):
        try:
            with ExitStack() as files:
                for name in ("new", "scratch"):
                    shutil.rmtree(work / name, ignore_errors=True)
                    (work / name).mkdir(parents=True)
                yield ArrayFolderWriter(work / "new", work / "scratch", files)
            refuse_existing(directory)
            os.replace(work / "new", directory)
            sync_folder(directory.parent)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise full_disk(directory, error.errno) from None
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)


def full_disk(directory, number=errno.ENOSPC):
    """Error for a disk that became full."""
    return OSError(
        number,
        "The disk became full before the store was complete. Nothing is left of it: free some "
        "space, or choose a directory on another disk",
        str(directory),
    )


def refuse_existing(directory):
    """Raise if a new folder would replace what is there."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if (directory / _MANIFEST).exists():
        raise ValueError(
            f"directory={shown(str(directory))} holds a store already. Open it with .open(...), or "
            f"remove it first."
        )
    raise ValueError(
        f"directory={shown(str(directory))} exists and is not empty. Choose a new directory."
    )


def open_folder(directory, kind, store_id=None):
    """Open a folder of arrays without reading them; with an id, that of no other folder."""
    directory = Path(os.path.abspath(directory))
    if not (directory / _MANIFEST).is_file():
        if not directory.exists():
            beside = directory.with_name(f"{directory.name}.unfinished").exists()
            hint = " A build of it was not finished: run it again." if beside else ""
            raise FileNotFoundError(
                f"There is no directory {shown(str(directory))}. If the store was moved, open it "
                f"at its new place.{hint}"
            )
        raise ValueError(
            f"directory={shown(str(directory))} is not a store of this package: it has no "
            f"{_MANIFEST}."
        )
    content = _read_manifest(directory)
    if content["kind"] != kind:
        raise ValueError(
            f"directory={shown(str(directory))} holds {shown(content['kind'])}, not {kind!r}."
        )
    if store_id not in (None, content["id"]):
        raise ValueError(
            f"directory={shown(str(directory))} holds another store than the one that was pickled. "
            f"Build what was pickled again, on the store that is there."
        )
    for name, facts in content["arrays"].items():
        path = directory / f"{name}.npy"
        if not path.is_file():
            _refuse_torn(directory, f"{path.name} is missing")
        if path.stat().st_size != facts["n_bytes"]:
            _refuse_torn(directory, f"{path.name} is not as long as it was")
    return ArrayFolder(directory, content)


def _read_manifest(directory):
    try:
        sealed = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        text = sealed["content"]
        is_whole = zlib.crc32(text.encode()) == sealed["crc32"]
        content = json.loads(text) if is_whole else None
    except (ValueError, KeyError, TypeError, AttributeError):
        content = None
    if content is None:
        _refuse_torn(directory, f"{_MANIFEST} is not as it was written")
    if content["format"] != _FORMAT:
        raise ValueError(
            f"directory={shown(str(directory))} has the format {content['format']}, but this "
            f"version of sklearn_ehr reads format {_FORMAT}. Use the version that wrote it, or "
            f"build the store again."
        )
    return content


def _refuse_torn(directory, problem):
    raise ValueError(
        f"directory={shown(str(directory))} is not intact: {problem}. Copy the store again, or "
        f"build it again."
    )


def _create(path):
    return path.open("wb")


def _flush(file):
    file.flush()
    os.fsync(file.fileno())
