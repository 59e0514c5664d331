"""What reaches the disk and stays there: a file is flushed before it gets its name, the folder that lists it after."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and let it reach the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Let a file that somebody else has written reach the disk."""
    with path.open("r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Let a folder's list of names reach the disk, where the disk knows such a call."""
    if sys.platform == "win32":  # a folder cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # what was written and named stands all the same
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and what leads to it, each listed durably in the one above."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def write_new(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, durably; its folder is made. OSError where the disk refuses it."""
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.partial")
    try:
        write_synced(partial, content)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
