"""Training states on the disk: whole or not there, sealed, without a pickle, and two of them.

A state is a folder `step-000012`: its tensors in one safetensors file, and a manifest with everything else, the SHA-256
of that file and a seal of its own. Accelerate's `save_state` would write the random states as a pickle, which runs code
when it is read, and its files in place; so they are written here, from what Accelerate prepared.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from repro.assets.checkpoints import disk_errors
from repro.errors import RecordError, StateError
from repro.records.durable import sync_file, sync_folder, write_synced
from repro.records.provenance import utc_now
from repro.records.seal import SEAL, digest_of, sealed, unsealed
from repro.spec import differing

SCHEMA_VERSION = 2
STATES = 2  # that stay: the newest, and the one before it should the newest be damaged later
MANIFEST, TENSORS = "manifest.json", "tensors.safetensors"
STEP = re.compile(r"step-(\d{6,})", re.ASCII)


class Manifest(BaseModel):
    """What a state is of: its run's key and what decides that run, its step of `steps`; and its numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    run_key: str
    decided_by: dict[str, JsonValue]
    step: int
    steps: int
    saved: str
    numbers: dict[str, Any]
    tensors_sha256: str


@dataclass(frozen=True, kw_only=True)
class State:
    """A state as read: whole, and of the run that was asked for. Tensors are named `part/name`."""

    manifest: Manifest
    tensors: dict[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a part, by their names within it."""
        return {key.removeprefix(f"{name}/"): t for key, t in self.tensors.items() if key.startswith(f"{name}/")}


class DamagedStateError(StateError):
    """A state whose files are not those that were saved."""


def states_in(folder: Path) -> list[Path]:
    """Return the states of a run, the newest first."""
    steps = {path: int(match[1]) for path in folder.glob("step-*") if (match := STEP.fullmatch(path.name))}
    return sorted(steps, key=lambda path: steps[path], reverse=True)


def write_state(
    folder: Path,
    numbers: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    key: str,
    decided_by: Mapping[str, JsonValue],
    step: int,
    steps: int,
) -> Path:
    """Write a state durably into the run's folder and return its path.

    It is read back; only then do the older ones go, all but the newest of them. OSError where the disk refuses it,
    DamagedStateError where the disk gives back something else: the older states stay as they were.
    """
    final = folder / f"step-{step:06d}"
    partial = folder / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        with disk_errors():
            save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, partial / TENSORS)
        sync_file(partial / TENSORS)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION, run_key=key, decided_by=dict(decided_by), step=step, steps=steps,
            saved=utc_now(), numbers=dict(numbers), tensors_sha256=digest_of(partial / TENSORS),
        )  # fmt: skip
        write_synced(partial / MANIFEST, sealed(manifest.model_dump_json(indent=1)).encode())
        sync_folder(partial)
        partial.rename(final)
        sync_folder(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    try:
        for file in final.iterdir():
            _forget_cached(file)
        _check_tensors(final, read_manifest(final))
    except StateError:
        remove(final)
        raise
    for older in states_in(folder)[STATES:]:
        with suppress(OSError):  # it does no harm
            remove(older)
    return final


def read_newest(
    folder: Path, *, key: str, decided_by: Mapping[str, JsonValue], tell: Callable[[str], None]
) -> State | None:
    """Return the newest state of the run that is whole, None where there is none.

    A damaged one is set aside, which `tell` is given a line about, and the one before it read. StateError for one of
    a newer schema or of another run, which stays as it is.
    """
    for path in states_in(folder):
        try:
            return read_state(path, key=key, decided_by=decided_by)
        except DamagedStateError as error:
            others = len(list(folder.glob(f"{path.name}.damaged*")))
            aside = path.rename(folder / f"{path.name}.damaged{f'-{others + 1}' if others else ''}")
            tell(f"{error.what}; it was moved to {aside}")
    return None


def read_state(path: Path, *, key: str, decided_by: Mapping[str, JsonValue]) -> State:
    """Read one state; DamagedStateError where it is not whole.

    StateError where it is not this run's, newer, or cannot be read now: then it stays as it is.
    """
    manifest = read_manifest(path)
    if manifest.run_key != key:
        names = ", ".join(differing(manifest.decided_by, decided_by)) or "nothing that it names"
        raise StateError(
            f"{path} is a state of another run: it differs in {names}",
            "Move it back to where it was, or start at step 0 with --fresh.",
        )
    _check_tensors(path, manifest)
    try:
        return State(manifest=manifest, tensors=load_file(path / TENSORS))
    except OSError as error:
        raise _unreadable(path, TENSORS, error) from None
    except SafetensorError as error:
        raise _damaged(path, str(error)) from None


def read_manifest(path: Path) -> Manifest:
    """Read what a state is of; DamagedStateError where its seal does not hold, StateError for a newer schema."""
    try:
        content = (path / MANIFEST).read_bytes()
        if not SEAL.search(content):
            raise _damaged(path, f"{MANIFEST} has no seal: it is cut off or was changed")
        fields = json.loads(unsealed(content))
        version = fields.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise StateError(
                f"{path} was saved by a newer version of the suite (schema {version}, this one reads {SCHEMA_VERSION})",
                "Resume with that version, or start at step 0 with --fresh, which removes the state.",
            )
        return Manifest.model_validate(fields)
    except OSError as error:
        raise _unreadable(path, MANIFEST, error) from None
    except RecordError as error:
        raise _damaged(path, f"{MANIFEST}: {error.what}") from None
    except (ValidationError, ValueError, AttributeError):
        raise _damaged(path, f"{MANIFEST} is no manifest of schema {SCHEMA_VERSION}") from None


def remove(path: Path) -> None:
    """Remove a state: it loses its name at once and its files after, so that half of it never passes for a whole."""
    nameless = path.with_name(f".{path.name}.removed")
    shutil.rmtree(nameless, ignore_errors=True)
    path.rename(nameless)
    shutil.rmtree(nameless, ignore_errors=True)


def _check_tensors(path: Path, manifest: Manifest) -> None:
    try:
        sha256 = digest_of(path / TENSORS)
    except OSError as error:
        raise _unreadable(path, TENSORS, error) from None
    if sha256 != manifest.tensors_sha256:
        raise _damaged(path, f"{TENSORS} is not the file that was saved (SHA-256)")


def _forget_cached(file: Path) -> None:
    """Let the next read come from the disk, where the system can (not on macOS and Windows)."""
    if sys.platform == "linux":
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _damaged(path: Path, why: str) -> DamagedStateError:
    return DamagedStateError(
        f"the state {path} is damaged ({why})", "The run resumes from an older state, or starts at step 0."
    )


def _unreadable(path: Path, name: str, error: OSError) -> StateError:
    """Return the error for a file that is gone, which is damage, or that the disk does not give just now."""
    why = f"{name}: {error.strerror or error}"
    if isinstance(error, FileNotFoundError):
        return _damaged(path, why)
    return StateError(
        f"the state {path} cannot be read ({why}); it stays as it is",
        "Start the same command again when it can be read, or at step 0 with --fresh.",
    )
