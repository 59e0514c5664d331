"""Training states on the disk: one file each, whole or not there, named by its SHA-256, without a pickle.

A state is `step-000012-<SHA-256>.safetensors`: the tensors, and as metadata one JSON object with everything else, in
which a tensor is `{"$tensor": name}`. Accelerate's `save_state` would write the random states as a pickle, which runs
code when it is read, and its files in place; so they are written here, from what Accelerate prepared.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from repro.assets.checkpoints import disk_errors
from repro.errors import StateError
from repro.records.durable import digest_of, sync_file, sync_folder
from repro.records.provenance import utc_now
from repro.spec import differing

STATES = 2  # that stay: the newest, and the one before it should the newest be damaged later
NAME = re.compile(r"step-(\d{6,})-([0-9a-f]{64})\.safetensors", re.ASCII)
MANIFEST, TENSOR = "manifest", "$tensor"


@dataclass(frozen=True, kw_only=True)
class State:
    """A state as read: what decides its run, its step of `steps`, when it was saved, and what it holds."""

    path: Path
    decided_by: dict[str, JsonValue]
    step: int
    steps: int
    saved: str
    content: dict[str, Any]


class DamagedStateError(StateError):
    """A state whose file is not the one that was saved."""

    def __init__(self, path: Path) -> None:
        why = f"the state {path} is damaged (it is not the file that was saved: SHA-256)"
        super().__init__(why, "The run resumes from an older state, or starts at step 0.")


def states_in(folder: Path) -> list[Path]:
    """Return the states of a run, the newest first."""
    return sorted((path for path in folder.glob("step-*") if step_of(path)), key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """Return the step that stands in a state's name; 0 for what is no state."""
    match = NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def write_state(
    folder: Path, content: Mapping[str, Any], *, decided_by: Mapping[str, JsonValue], step: int, steps: int
) -> Path:
    """Write a state durably into the run's folder and return its path.

    `content` is what JSON can hold, and tensors. The file is read back from the disk before it gets its name; only
    then do the older ones go, all but the newest of them. OSError where the disk refuses it, DamagedStateError where
    it gives back something else: the older states stay as they were.
    """
    tensors: dict[str, Tensor] = {}

    def take(tensor: Tensor) -> dict[str, str]:
        tensors[name := str(len(tensors))] = tensor.detach().contiguous()
        return {TENSOR: name}

    manifest = {"decided_by": decided_by, "step": step, "steps": steps, "saved": utc_now(), "content": content}
    metadata = {MANIFEST: json.dumps(manifest, default=take)}
    partial = folder / f".step-{step:06d}.partial"
    try:
        with disk_errors():
            save_file(tensors, partial, metadata)
        sync_file(partial)
        sha256 = digest_of(partial)
        _forget_cached(partial)
        final = folder / f"step-{step:06d}-{sha256}.safetensors"
        if digest_of(partial) != sha256:
            raise DamagedStateError(final)
        partial.rename(final)
        sync_folder(folder)
    finally:
        partial.unlink(missing_ok=True)
    for older in states_in(folder)[STATES:]:
        with suppress(OSError):  # it does no harm
            older.unlink()
    return final


def read_state(path: Path, decided_by: Mapping[str, JsonValue] | None = None) -> State:
    """Read a state, of the run that is decided by this if given; DamagedStateError where it is not as it was saved.

    StateError where it is another run's or cannot be read now: then it stays as it is.
    """
    try:
        match = NAME.fullmatch(path.name)
        if match is None or digest_of(path) != match[2]:
            raise DamagedStateError(path)
        tensors = load_file(path)
        with safe_open(path, "pt") as opened:
            text = opened.metadata()[MANIFEST]
    except OSError as error:
        raise StateError(
            f"the state {path} cannot be read ({error.strerror or error}); it stays as it is",
            "Start the same command again when it can be read, or at step 0 with --fresh.",
        ) from None
    fields = json.loads(text, object_hook=lambda value: tensors[value[TENSOR]] if TENSOR in value else value)
    if decided_by is not None and (names := differing(fields["decided_by"], decided_by)):
        raise StateError(
            f"{path} is a state of another run: it differs in {', '.join(names)}",
            "Move it back to where it was, or start at step 0 with --fresh.",
        )
    return State(path=path, **fields)


def _forget_cached(file: Path) -> None:
    """Let the next read come from the disk, where the system can (not on macOS and Windows)."""
    if sys.platform == "linux":
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
