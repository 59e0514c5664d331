"""What tests do with files: read a folder, damage a file, keep a git repository, write what pytest-benchmark writes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


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


def entry(
    name: str, rounds: Sequence[float], *, group: str | None = None, file: str = "speed", **extra: Any
) -> dict[str, Any]:
    """A benchmark of a file of benchmarks/, with the seconds of its rounds and its `extra_info`."""
    fullname = f"benchmarks/test_{file}.py::{name}"
    return {"name": name, "fullname": fullname, "group": group, "stats": {"data": rounds}, "extra_info": extra}


def save_benchmarks(path: Path, *entries: dict[str, Any], day: str = "2026-01-01", gpu: str | None = None) -> Path:
    """Write what was measured on a day, on the CPU or on a GPU."""
    machine = {"cpu": {"count": 2}, "accelerator": gpu, "libraries": {"torch": "2.13.0"}}
    commit = {"id": "abc", "dirty": True}
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = {"datetime": f"{day}T00:00:00", "machine_info": machine, "commit_info": commit, "benchmarks": entries}
    path.write_text(json.dumps(saved))
    return path
