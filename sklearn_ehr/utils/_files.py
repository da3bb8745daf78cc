"""Folders that one process uses at a time, and whose entries last."""

import os
from contextlib import contextmanager


@contextmanager
def locked(folder, name, *, in_use, extra):
    """A folder, made if needed, that only this process uses; the lock ends with the process.

    `name` is that of the parameter that names it, and `extra` installs what this needs. Raises
    ValueError with the message `in_use` if another process uses the folder.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise ImportError(
            f"{name} needs filelock, which is not installed: pip install sklearn_ehr[{extra}]."
        ) from error
    lock = FileLock(folder / "lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ValueError(in_use) from None
    except OSError as error:
        raise OSError(
            error.errno,
            f"{name} must be a directory that can be written ({error.strerror})",
            str(folder),
        ) from error
    try:
        yield
    finally:
        lock.release()


def sync_folder(folder):
    """Have the names of a folder's files on the disk; Windows has no way to ask for that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
