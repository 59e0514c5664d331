"""Supply chain: workflows are pinned and have few rights, every package has hashes, the audit misses nothing."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import noxfile
from docs.lock import FOLDER, HEAD, INCLUDED, SELECTIONS, locks

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


@pytest.mark.parametrize(("ref", "fails"), [("refs/heads/main", True), ("refs/pull/1/merge", False), (None, False)])
def test_an_audit_that_could_not_ask_fails_on_main_only(
    ref: str | None, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_REF", raising=False)
    if ref:
        monkeypatch.setenv("GITHUB_REF", ref)
    session: Any = Mock()
    noxfile.conclude_audit(session, 0, ["torch"], [])
    assert session.log.call_args.args[0].endswith("not audited: torch")
    assert session.error.called is fails


FILES = sorted(FOLDER / f"{name}.txt" for name in (*SELECTIONS, "torch"))
ENTRY = re.compile(r"^([\w.-]+)==(\S+?)(?: ; .+?)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOT_LOCKED = {"tour", "tensorboard", "wandb"}  # extras that no session installs


def pins(text: str) -> set[tuple[str, str]]:
    return {(canonicalize_name(name), version) for name, version in re.findall(r"^([\w.-]+)==([^\s\\]+)", text, re.M)}


CONSTRAINTS = pins((ROOT / "constraints.txt").read_text())


def asked_for() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    chosen = [extras[name] for name in extras.keys() - NOT_LOCKED]
    lists = [PROJECT["project"]["dependencies"], *chosen, *PROJECT["dependency-groups"].values()]
    return [Requirement(line) for lines in lists for line in lines if isinstance(line, str)]


def test_the_locks_hold_the_versions_of_the_constraints_and_no_others() -> None:
    assert set().union(*(pins(file.read_text()) for file in FILES)) == CONSTRAINTS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_lock_is_hashed_entries_and_nothing_else(file: Path) -> None:
    include = f"-r {INCLUDED[file.stem]}.txt\n" if file.stem in INCLUDED else ""
    text = file.read_text()
    assert text.startswith(HEAD + include)
    assert not ENTRY.sub("", text.removeprefix(HEAD + include))  # no index, no link, no entry without a hash


@pytest.mark.parametrize("requirement", sorted(asked_for(), key=str), ids=str)
def test_a_pin_is_among_the_versions_that_the_project_allows(requirement: Requirement) -> None:
    version = dict(CONSTRAINTS)[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


def test_what_builds_the_package_is_pinned_as_it_is_locked() -> None:
    build = pins("\n".join(PROJECT["build-system"]["requires"]))
    assert len(build) == len(PROJECT["build-system"]["requires"])
    assert build <= pins((FOLDER / "base.txt").read_text())


def test_the_cpu_builds_are_of_the_torch_that_is_pinned() -> None:
    (build,) = ENTRY.findall((FOLDER / "torch-cpu.txt").read_text())
    assert build[:2] == ("torch", f"{dict(CONSTRAINTS)['torch']}+cpu")


TORCH = "torch==2.13.0 \\\n    --hash=sha256:aa\n"
CUDA = "nvidia-cudnn==9.1 ; sys_platform == 'linux' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
NUMPY = "numpy==2.4.6 \\\n    --hash=sha256:dd\n"
SCIPY = "scipy==1.17.1 \\\n    --hash=sha256:ee\n"


def test_a_lock_repeats_nothing_and_leaves_torch_to_a_lock_of_its_own() -> None:
    texts = locks({"base": NUMPY, "train": CUDA + NUMPY + SCIPY + TORCH})
    assert texts == {"base": HEAD + NUMPY, "train": f"{HEAD}-r base.txt\n{SCIPY}", "torch": HEAD + CUDA + TORCH}
