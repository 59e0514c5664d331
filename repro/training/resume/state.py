"""Training states on the disk: whole or not there, sealed, without a pickle, and never fewer than two.

A state is a folder `step-000012`: tensors as safetensors, numbers as JSON, and a manifest with the SHA-256 of each
file, the run's key and a seal of its own. Accelerate's `save_state` would write the random states as a pickle, which
runs code when it is read, and its files in place; so they are written here, from what Accelerate prepared.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
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
MANIFEST, NUMBERS, TENSORS = "manifest.json", "numbers.json", ".safetensors"
STEP = re.compile(r"step-(\d{6,})", re.ASCII)
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Tensors = dict[str, dict[str, Tensor]]  # by file, then by name


class Manifest(BaseModel):
    """What a state is of: its run's key and what decides that run, its step of `steps`, and SHA-256 by file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    run_key: str
    decided_by: dict[str, JsonValue]
    step: int
    steps: int
    saved: str
    files: dict[FileName, str]


@dataclass(frozen=True, kw_only=True)
class State:
    """A state as read: whole, and of the run that was asked for."""

    manifest: Manifest
    numbers: dict[str, Any]
    tensors: Tensors


class DamagedStateError(StateError):
    """A state whose files are not those that were saved."""


def states_in(folder: Path) -> list[Path]:
    """Return the states of a run, the newest first."""
    steps = {path: int(match[1]) for path in folder.glob("step-*") if (match := STEP.fullmatch(path.name))}
    return sorted(steps, key=lambda path: steps[path], reverse=True)


def write_state(
    folder: Path,
    numbers: Mapping[str, JsonValue],
    tensors: Tensors,
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
        files = {f"{name}{TENSORS}": _write_tensors(partial / f"{name}{TENSORS}", t) for name, t in tensors.items()}
        files[NUMBERS] = _write_text(partial / NUMBERS, json.dumps(numbers, allow_nan=False) + "\n")
        manifest = Manifest(
            schema_version=SCHEMA_VERSION, run_key=key, decided_by=dict(decided_by), step=step, steps=steps,
            saved=utc_now(), files=files,
        )  # fmt: skip
        _write_text(partial / MANIFEST, sealed(manifest.model_dump_json(indent=1)))
        sync_folder(partial)
        partial.rename(final)
        sync_folder(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    try:
        for file in final.iterdir():
            _forget_cached(file)
        _verify_files(final, read_manifest(final))
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
            tell(f"{error.what}; it was moved to {_set_aside(path)}")
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
    _verify_files(path, manifest)
    try:
        numbers = json.loads((path / NUMBERS).read_bytes())
        tensors = {name.removesuffix(TENSORS): load_file(path / name) for name in manifest.files if name != NUMBERS}
    except OSError as error:
        raise _unread(path, "its tensors", error) from None
    except (ValueError, SafetensorError) as error:
        raise _damaged(path, str(error)) from None
    return State(manifest=manifest, numbers=numbers, tensors=tensors)


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
        raise _unread(path, MANIFEST, error) from None
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


def _verify_files(path: Path, manifest: Manifest) -> None:
    for name, sha256 in manifest.files.items():
        try:
            read_back = digest_of(path / name)
        except OSError as error:
            raise _unread(path, name, error) from None
        if read_back != sha256:
            raise _damaged(path, f"{name} is not the file that was saved (SHA-256)")


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    with disk_errors():
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)
    sync_file(path)
    return digest_of(path)


def _write_text(path: Path, text: str) -> str:
    content = text.encode()
    write_synced(path, content)
    return hashlib.sha256(content).hexdigest()  # of what was meant, whatever the disk gives back


def _forget_cached(file: Path) -> None:
    """Let the next read come from the disk, where the system can (not on macOS and Windows)."""
    if sys.platform == "linux":
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _set_aside(path: Path) -> Path:
    others = len(list(path.parent.glob(f"{path.name}.damaged*")))
    aside = path.with_name(f"{path.name}.damaged" + (f"-{others + 1}" if others else ""))
    path.rename(aside)
    return aside


def _damaged(path: Path, why: str) -> DamagedStateError:
    return DamagedStateError(
        f"the state {path} is damaged ({why})", "The run resumes from an older state, or starts at step 0."
    )


def _unread(path: Path, name: str, error: OSError) -> StateError:
    """Return the error for a file that is gone, which is damage, or that the disk does not give just now."""
    why = f"{name}: {error.strerror or error}"
    if isinstance(error, FileNotFoundError):
        return _damaged(path, why)
    return StateError(
        f"the state {path} cannot be read ({why}); it stays as it is",
        "Start the same command again when it can be read, or at step 0 with --fresh.",
    )
