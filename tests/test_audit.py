"""The audit of pinned packages: a vulnerability fails it, and what could not be looked up is never taken for sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import noxfile

SOUND = {"name": "torch", "version": "2.13.0", "vulns": []}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI and could not be audited: ours (1.0)"}
HIT = {
    "name": "jinja2",
    "version": "2.4.1",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": [], "description": "sandbox escape"}],
}


@pytest.mark.parametrize(
    ("packages", "told"),
    [
        ([SOUND, UNKNOWN], (1, ["ours"], [])),
        ([UNKNOWN], (0, ["ours"], [])),
        ([SOUND, HIT], (2, [], ["jinja2 2.4.1: PYSEC-2019-217, fixed in 2.10.1"])),
        ([{**HIT, "vulns": [{"id": "X-1", "fix_versions": []}]}], (1, [], ["jinja2 2.4.1: X-1, fixed in none"])),
    ],
)
def test_what_pip_audit_found_is_told_apart_from_what_it_could_not_look_up(
    packages: list[Any], told: tuple[int, list[str], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "audit.json").write_text(json.dumps({"dependencies": packages, "fixes": []}))
    assert noxfile.audit_told(tmp_path / "audit.json") == told
