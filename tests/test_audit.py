"""The audit of pinned packages: a vulnerability fails it, and what could not be looked up is never taken for sound."""

from __future__ import annotations

import json
from pathlib import Path

import noxfile

SOUND = {"name": "torch", "version": "2.13.0", "vulns": []}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI and could not be audited: ours (1.0)"}
HIT = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}
UNFIXED = {**HIT, "vulns": [{"id": "X-1", "fix_versions": []}]}


def test_vulnerabilities_and_packages_that_could_not_be_looked_up_are_told_apart(tmp_path: Path) -> None:
    report = tmp_path / "audit.json"
    report.write_text(json.dumps({"dependencies": [SOUND, UNKNOWN, HIT, UNFIXED]}))
    hits = ["jinja2 2.4.1: PYSEC-2019-217, fixed in 2.10.1", "jinja2 2.4.1: X-1, fixed in none"]
    assert noxfile.read_audit(report) == (3, ["ours"], hits)
    report.write_text(json.dumps({"dependencies": [UNKNOWN]}))
    assert noxfile.read_audit(report) == (0, ["ours"], [])
