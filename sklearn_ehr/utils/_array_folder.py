"""Folders of arrays that are mapped from disk, and are there whole or not at all."""

import errno
import json
import mmap
import os
import shutil
import zlib
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from secrets import token_hex

import numpy as np
import pandas as pd
from numpy.lib import format as npy

from ._files import locked, sync_folder
from ._frames import shown

_MANIFEST = "manifest.json"
_FORMAT = 1
_KEYS = {"kind", "format", "id", "attributes", "arrays"}
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
        is_null = pd.isna(ids)
        kind = pd.api.types.infer_dtype(ids[~is_null])
        if kind in ("string", "empty"):
            self._append_texts(name, ids, is_null)
            return
        values = pd.Series(ids[~is_null]).infer_objects()
        if values.dtype == object:
            raise TypeError(
                f"On disk, identifiers and codes must be strings, numbers or dates, but {name} are "
                f"{kind}. Convert them with .astype(str)."
            )
        numbers = np.zeros(len(ids), dtype=values.to_numpy().dtype)
        numbers[~is_null] = values.to_numpy()
        self.append(f"{name}.numbers", numbers)
        self.append(f"{name}.is_null", is_null)

    def _append_texts(self, name, ids, is_null):
        import pyarrow as pa

        texts = pa.array(ids, type=pa.large_string(), from_pandas=True)
        _, offsets, text = texts.buffers()
        lengths = np.diff(np.frombuffer(offsets, dtype=np.int64)[: len(ids) + 1])
        text = np.frombuffer(text or b"", dtype=np.uint8)[: lengths.sum()]
        self.append(f"{name}.utf8", text)
        self.append(f"{name}.lengths", np.where(is_null, -1, lengths))

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
        self._file = files.enter_context(path.open("wb"))
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
        return {
            "dtype": self._dtype.str,
            "shape": [self._n, *self._shape],
            "n_bytes": n_bytes,
            "crc32": self._crc32,
        }

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
        return any(f"{name}{part}" in self._arrays for part in ("", ".lengths", ".numbers"))

    def array(self, name):
        """An array, mapped read-only; None if the folder does not have it."""
        if name not in self._arrays:
            return None
        # The manifest has a checksum, so it is believed, and not the header of the file.
        facts = self._arrays[name]
        dtype, shape = np.dtype(facts["dtype"]), facts["shape"]
        if not prod(shape):
            # Nothing cannot be mapped.
            return np.empty(shape, dtype)
        offset = facts["n_bytes"] - prod(shape) * dtype.itemsize
        with (self.directory / f"{name}.npy").open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps.append(mapped)
        return np.frombuffer(mapped, dtype, offset=offset).reshape(shape)

    def release(self):
        """Let the system take back the pages of mapped arrays, which it reads again when needed.

        It would do so when memory is short, but till then they count as memory of this process.
        """
        for mapped in self._maps:
            if hasattr(mapped, "madvise"):
                mapped.madvise(mmap.MADV_DONTNEED)

    def ids(self, name):
        """Identifiers: numbers, mapped, or objects in memory; None if the folder has none."""
        if f"{name}.lengths" in self._arrays:
            return self._texts(name)
        if f"{name}.numbers" in self._arrays:
            ids = pd.Series(self.array(f"{name}.numbers")).astype(object).to_numpy(copy=True)
            ids[self.array(f"{name}.is_null")] = None
            return ids
        return self.array(name)

    def _texts(self, name):
        import pyarrow as pa

        lengths = self.array(f"{name}.lengths")
        offsets = np.append(0, np.maximum(lengths, 0).cumsum())
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.array(f"{name}.utf8"))]
        texts = pa.Array.from_buffers(pa.large_string(), len(lengths), buffers)
        texts = texts.to_numpy(zero_copy_only=False).copy()
        texts[lengths < 0] = None
        return texts

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
    _refuse_existing(directory)
    work = directory.with_name(f"{directory.name}.unfinished")
    in_use = (
        f"directory={shown(str(directory))} is being written by another process. Wait for it to "
        f"end, or choose another directory."
    )
    # The lock stays beside the directory: to remove it would let two others hold one each.
    lock = directory.with_name(f".{directory.name}.lock")
    with locked(lock, "directory", in_use=in_use, extra="store"):
        try:
            _refuse_existing(directory)
            shutil.rmtree(work, ignore_errors=True)
            for folder in (work, work / "new", work / "scratch"):
                # Only this user reads the data of patients, as long as nobody else is allowed to.
                folder.mkdir(mode=0o700)
            with ExitStack() as files:
                yield ArrayFolderWriter(work / "new", work / "scratch", files)
            sync_folder(work / "new")
            os.replace(work / "new", directory)
            sync_folder(directory.parent)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _full_disk(directory, error.errno) from None
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _full_disk(directory, number):
    """Error for a disk that became full."""
    return OSError(
        number,
        "The disk became full before the store was complete. Nothing is left of it: free some "
        "space, or choose a directory on another disk",
        str(directory),
    )


def _refuse_existing(directory):
    """Raise if there is anything where a new folder is to be."""
    if not os.path.lexists(directory):
        return
    if (directory / _MANIFEST).exists():
        raise ValueError(
            f"directory={shown(str(directory))} holds a store already. Open it with .open(...), or "
            f"remove it first."
        )
    raise ValueError(
        f"directory={shown(str(directory))} exists already. Choose a directory that does not exist "
        f"yet, such as a new one in it."
    )


def open_folder(directory, kind, store_id=None):
    """Open a folder of arrays without reading them.

    With `store_id`, raise if the folder holds another store.
    """
    directory = Path(os.path.abspath(directory))
    if not (directory / _MANIFEST).is_file():
        if not directory.exists():
            beside = directory.with_name(f"{directory.name}.unfinished").exists()
            hint = " A build of it was not finished: run it again." if beside else ""
            raise FileNotFoundError(
                f"There is no directory {shown(str(directory))}. If the store was moved, open it "
                f"at its new place, and build anew what was pickled with the old one.{hint}"
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
        content = json.loads(text) if is_whole else {}
        is_whole = is_whole and content.keys() >= _KEYS
    except (ValueError, KeyError, TypeError, AttributeError):
        is_whole = False
    if not is_whole:
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


def _flush(file):
    file.flush()
    os.fsync(file.fileno())
