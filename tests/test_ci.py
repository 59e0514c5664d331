"""Workflows: pinned, with few rights, the action runs what its script runs; the audit of packages misses nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import noxfile

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = [ROOT / ".ci" / name for name in ("action", "records", "run")]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def steps(path: Path) -> list[Any]:
    loaded = read(path)
    jobs = loaded["jobs"].values() if "jobs" in loaded else [loaded["runs"]]
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_no_credentials_stay(path: Path) -> None:
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", "").replace("${{ matrix.session }}", "")  # no text of others in a shell


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_it_opens_an_issue(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job.get("permissions", {"contents": "read"}) in (
            {"contents": "read"},
            {"contents": "read", "issues": "write"},
        )


def test_the_script_runs_the_actions_steps_in_their_order() -> None:
    commands = [step["run"].strip() for step in steps(ROOT / "action.yml") if "run" in step]
    script = (ROOT / ".ci" / "action").read_text()
    assert script.rstrip().endswith("\n\n".join(commands))
    for name in read(ROOT / "action.yml")["inputs"]:
        assert f"{name.upper()}=" in script


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml", *SCRIPTS], ids=lambda path: path.name)
def test_what_is_installed_has_hashes_or_is_the_checkout(path: Path) -> None:
    for command in re.findall(r"pip install (.+)", path.read_text()):
        assert command.startswith(("--quiet --no-deps --require-hashes ", "--quiet --no-deps --no-build-isolation "))


@pytest.mark.parametrize(
    ("options", "folder", "passed_on"),
    [
        (["--seeds", "0-2"], "build/cpu_bench", ["--seeds", "0-2"]),
        (["--publish", "--seeds", "0"], str(noxfile.RESULTS), ["--seeds", "0"]),
        (["--results", "mine", "-x"], "mine", ["-x"]),
    ],
)
def test_a_measuring_session_writes_build_unless_it_publishes(
    options: list[str], folder: str, passed_on: list[str]
) -> None:
    session: Any = SimpleNamespace(posargs=options)
    assert noxfile.results_folder(session, Path("build/cpu_bench")) == (folder, passed_on)


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


class Session:
    """What nox gives a session, as far as the end of an audit asks for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        self.lines.append(line)

    def error(self, line: str) -> None:
        raise RuntimeError(line)


@pytest.mark.parametrize(("ref", "fails"), [("refs/heads/main", True), ("refs/pull/1/merge", False), (None, False)])
def test_an_audit_that_could_not_ask_fails_on_main_only(
    ref: str | None, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_REF", raising=False)
    if ref:
        monkeypatch.setenv("GITHUB_REF", ref)
    session: Any = Session()
    if fails:
        with pytest.raises(RuntimeError, match="not audited: torch"):
            noxfile.conclude_audit(session, 0, ["torch"], [])
    else:
        noxfile.conclude_audit(session, 0, ["torch"], [])
        assert session.lines[-1].endswith("not audited: torch")
