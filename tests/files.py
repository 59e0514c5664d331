"""What tests do with files: read a folder, damage a file, keep a git repository."""

from __future__ import annotations

import subprocess
from pathlib import Path


def contents(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """The bytes of a folder's files by name, as a repository of the Hub has them."""
    return {path.name: path.read_bytes() for path in folder.glob(pattern) if path.is_file()}


def flip_a_bit(file: Path) -> None:
    """Flip the lowest bit of the byte in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as nobody in particular unless the arguments name somebody, and return what it printed."""
    author = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    done = subprocess.run(["git", *author, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
