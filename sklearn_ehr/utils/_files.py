"""Locks of processes, and files that survive a crash."""

import os
from contextlib import contextmanager


@contextmanager
def locked(path, name, *, in_use, extra):
    """Hold a lock, which ends with the process, and whose file is made with its folder if needed.

    `name` is that of the parameter that asks for it, and `extra` installs what this needs. Raises
    ValueError with the message `in_use` if another process holds the lock.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise ImportError(
            f"{name} needs filelock, which is not installed: pip install sklearn_ehr[{extra}]."
        ) from error
    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ValueError(in_use) from None
    except OSError as error:
        raise OSError(
            error.errno,
            f"{name} must be a directory that can be written ({error.strerror})",
            str(path.parent),
        ) from error
    try:
        yield
    finally:
        lock.release()


def sync_folder(folder):
    """Flush a folder's entries to disk; Windows has no way to ask for that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
