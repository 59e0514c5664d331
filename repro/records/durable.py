"""Files that last: whole and flushed before they get their names, and sealed, so that no flipped byte is a result."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from repro.errors import RecordError

SEAL = re.compile(rb',\r?\n "sha256": "([0-9a-f]{64})"\r?\n\}\s*\Z')


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


def sealed(text: str) -> str:
    """Return the text of a JSON object, indented by one, with its own SHA-256 as the last field."""
    body = text.rstrip().removesuffix("}").rstrip()
    return f'{body},\n "sha256": "{plain_sha256(body.encode())}"\n}}\n'


def unsealed(content: bytes) -> bytes:
    """Return the object without its seal; RecordError where it has none, or one that does not hold."""
    remedy = "Restore the file, or move it away."
    match = SEAL.search(content)
    if match is None:
        raise RecordError("it has no seal (sha256)", remedy)
    body = content[: match.start()]
    if plain_sha256(body) != match[1].decode():
        problem = "its content is not what its seal (sha256) was made of"
        raise RecordError(f"{problem}: it was changed or damaged after it was written", remedy)
    return body + b"\n}\n"


def plain_sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal; line ends that a checkout changed are no damage, and count as newlines."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; OSError where it cannot be read."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
