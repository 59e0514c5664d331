"""A run's folder of states belongs to one process at a time; the kernel gives it back when that process dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from repro.errors import ResultsError, StateError

LOCK = "lock"
WAIT_SECONDS = 0.2  # a folder that its last owner removes just now is made again within it
TRIES = 100


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Make the folder and hold its lock within the block; StateError where another process holds it."""
    try:
        lock = _acquire(folder)
    except Timeout:
        raise StateError(
            f"{what} is being run by another process on this results folder",
            "Wait for it: this command then skips the completed run; or choose another --results folder.",
        ) from None
    except OSError as error:
        raise ResultsError(
            f"cannot save the states of {what} in {folder}: {error.strerror or error}",
            "Free space or choose another --results folder; nothing was run.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _acquire(folder: Path) -> FileLock:
    lock = FileLock(folder / LOCK, timeout=WAIT_SECONDS)
    for attempt in range(TRIES):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except FileNotFoundError:  # the folder was removed since: its run is complete
            if attempt + 1 == TRIES:
                raise
        else:
            break
    return lock
