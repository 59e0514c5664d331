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


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably: what is written into it later can't be lost with it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all, durably and through no link, and return its path; its folder is made.

    OSError where the disk refuses it.
    """
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        sync_file(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    return path
