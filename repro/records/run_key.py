"""A run's key: the SHA-256 of everything that decides its result, so that the same run is known again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import JsonValue

from repro.errors import RecordError
from repro.records.provenance import library_versions
from repro.records.record import RunRecord, read_record

PACKAGE = Path(__file__).parents[1]


def run_key(decided_by: Mapping[str, JsonValue]) -> str:
    """Return the key of a run: the SHA-256 of canonical JSON of what decides it."""
    text = json.dumps(decided_by, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def code_parts() -> dict[str, JsonValue]:
    """Return what of the code decides a result: the suite's own source, Python and the libraries."""
    versions: dict[str, JsonValue] = {**library_versions()}
    return {"source": _source_sha256(), "python": platform.python_version(), "versions": versions}


@cache
def _source_sha256() -> str:
    found = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py"), key=lambda path: path.relative_to(PACKAGE).as_posix()):
        name, content = file.relative_to(PACKAGE).as_posix(), file.read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def find_finished(folder: Path, key: str) -> tuple[RunRecord, Path] | None:
    """Return the newest whole record of this key in a folder of records; one that lacks a part is not whole."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            if key.encode() not in path.read_bytes():
                continue
            record = read_record(path)
        except (OSError, RecordError):  # `verify` refuses it by name; it stands for no result
            continue
        if record.run_key == key and not record.facts.get("not_run"):
            return record, path
    return None


def differing(one: Mapping[str, JsonValue], other: Mapping[str, JsonValue], prefix: str = "") -> list[str]:
    """Return the dotted names of what two runs were not decided by alike."""
    found = []
    for name in sorted({*one, *other}):
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differing(a, b, f"{prefix}{name}.")
        elif a != b:
            found.append(prefix + name)
    return found
