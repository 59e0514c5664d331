"""A run's folder of states belongs to one process at a time; the kernel gives it back when that process dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repro.errors import ResultsError, StateError

LOCK = "lock"
TRIES = 100  # a folder that is removed between its making and its locking is made again


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Make the folder and hold it within the block; StateError where another process holds it."""
    try:
        descriptor = _hold(folder, what)
    except OSError as error:
        raise ResultsError(
            f"cannot keep the states of {what} in {folder}: {error.strerror or error}",
            "Free space or choose another --results folder; nothing was run.",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _hold(folder: Path, what: str) -> int:
    for _ in range(TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue
        if not _take(descriptor):
            os.close(descriptor)
            raise StateError(
                f"{what} is being run by another process on this results folder",
                "Wait for it: started again, this command finds its record; or choose another --results folder.",
            )
        if _still_there(descriptor, folder / LOCK):
            return descriptor
        os.close(descriptor)  # whoever held it has finished and removed the folder
    raise StateError(f"{folder} comes and goes: other processes work on {what}", "Start again when they are done.")


def _take(descriptor: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
