"""Files as pytest-benchmark writes them, as far as they are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def entry(
    name: str, rounds: Sequence[float], *, group: str | None = None, file: str = "speed", **extra: Any
) -> dict[str, Any]:
    """A benchmark of a file of benchmarks/, with the seconds of its rounds and its `extra_info`."""
    fullname = f"benchmarks/test_{file}.py::{name}"
    return {"name": name, "fullname": fullname, "group": group, "stats": {"data": rounds}, "extra_info": extra}


def save(path: Path, *entries: dict[str, Any], day: str = "2026-01-01", gpu: str | None = None) -> Path:
    """Write what was measured on a day, on the CPU or on a GPU."""
    machine = {"cpu": {"count": 2}, "accelerator": gpu, "libraries": {"torch": "2.13.0"}}
    commit = {"id": "abc", "dirty": True}
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = {"datetime": f"{day}T00:00:00", "machine_info": machine, "commit_info": commit, "benchmarks": entries}
    path.write_text(json.dumps(saved))
    return path
