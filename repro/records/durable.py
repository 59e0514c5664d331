"""What reaches the disk and stays there: a file is flushed before it gets its name, the folder that lists it after."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def sync_file(path: Path) -> None:
    """Let a file that was written reach the disk."""
    with path.open("r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Let a folder's list of names reach the disk, where the system can (Windows opens no folder)."""
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDONLY)
        with suppress(OSError):  # what was written and named stands all the same
            os.fsync(descriptor)
        os.close(descriptor)


def write_new(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, durably; its folder is made. OSError where the disk refuses it."""
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        sync_file(partial)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    for folder in (path.parent, *(folder.parent for folder in missing)):
        sync_folder(folder)
