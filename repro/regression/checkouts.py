"""The two sides of a session: this working tree, and another revision in a git worktree with its environment.

Worktrees and environments lie in `build/regress`, named after the process that made them, and are removed when the
session ends; what a killed one left is removed by the next.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import NotComparableError, ResultsError, UsageError

WORKER = "benchmarks/worker.py"
SCRATCH = Path("build", "regress")
DECIDING = ("dependencies", "optional-dependencies", "requires-python")  # of pyproject's [project]


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """Code in a folder, the interpreter of its environment, and what to call it."""

    name: str
    folder: Path
    python: str


def repository() -> Path:
    """Return the root of the git checkout that this is called in; UsageError where there is none."""
    if shutil.which("git") is None:
        raise UsageError("git is not installed", "Install git, or compare two results folders instead.")
    root = _git(Path.cwd(), "rev-parse", "--show-toplevel")
    if root is None:
        raise UsageError("this folder is no git checkout", "Run it inside a clone, or compare two results folders.")
    return Path(root)


def working_tree(root: Path, python: str) -> Checkout:
    """Return the candidate: the working tree as it is, uncommitted changes included."""
    if not (root / WORKER).is_file():
        raise UsageError(f"{root.name} has no {WORKER}", "Run it in a checkout that has one.")
    if shutil.which(python) is None:
        raise UsageError(f"there is no interpreter {python}", "Name one with --python.")
    changed = " with uncommitted changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else ""
    return Checkout(name=f"{_short(root, 'HEAD')}{changed}", folder=root, python=python)


def resolve(root: Path, revision: str | None) -> str:
    """Return the commit of a revision, of HEAD's first parent for None; UsageError where it is not there."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{revision or 'HEAD^'}^{{commit}}")
    if commit is not None:
        return commit
    if _git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise UsageError(
            f"this clone is shallow and lacks {revision or 'the parent of HEAD'}",
            "Fetch it: git fetch --unshallow, in a workflow fetch-depth: 0.",
        )
    raise UsageError(
        f"there is no revision {revision}" if revision else "HEAD has no parent to compare with",
        "Name one with --against REV.",
    )


@contextmanager
def checkout_of(root: Path, commit: str, say: Callable[[str], None]) -> Iterator[Checkout]:
    """Check a commit out beside the working tree, with its own environment where its dependencies differ.

    NotComparableError where it is older than the gate or does not install; nothing is left behind.
    """
    name = _short(root, commit)
    if _git(root, "cat-file", "-e", f"{commit}:{WORKER}") is None:
        raise NotComparableError(
            f"{name} is older than this gate: it has no {WORKER}",
            "Compare with a later revision: --against REV.",
        )
    scratch = root / SCRATCH
    _remove_abandoned(root, scratch, say)
    folder, environment = (scratch / f"{kind}-{name}-{os.getpid()}" for kind in ("baseline", "environment"))
    try:
        _add_worktree(root, folder, commit)
        shared = _dependencies(folder) == _dependencies(root)
        if not shared:
            say(f"the dependencies of {name} differ from ours: making its environment, which takes minutes")
        python = sys.executable if shared else _install(folder, environment, name)
        yield Checkout(name=name, folder=folder, python=python)
    finally:
        _remove(root, folder, environment)


def _add_worktree(root: Path, folder: Path, commit: str) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"cannot write to {folder.parent}: {error.strerror}", "Make it a writable folder.") from None
    done = subprocess.run(
        ["git", "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--quiet", str(folder), commit],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ResultsError(
            f"git can't check {commit[:12]} out: {_last_line(done.stderr)}",
            "Mend that and start again; nothing is left.",
        )


def _dependencies(folder: Path) -> Any:
    """Return all that decides which libraries a checkout gets."""
    pyproject, constraints = folder / "pyproject.toml", folder / "constraints.txt"
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"] if pyproject.is_file() else {}
    pins = constraints.read_text(encoding="utf-8").splitlines() if constraints.is_file() else []
    return [project.get(name) for name in DECIDING], sorted(line for line in pins if line and line[0] != "#")


def _install(folder: Path, environment: Path, name: str) -> str:
    """Make an environment with the dependencies of a checkout and return its interpreter."""
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    constraints = ["--constraint", "constraints.txt"] if (folder / "constraints.txt").is_file() else []
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "install", "--quiet", *constraints, ".[offline]"],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotComparableError(
                f"{name} does not install: {_last_line(done.stderr)}", "Compare with another revision: --against REV."
            )
    return str(python)


def _remove_abandoned(root: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Remove what sessions left whose process is gone."""
    for folder in scratch.glob("*-*-*") if scratch.is_dir() else ():
        pid = folder.name.rpartition("-")[2]
        if folder.is_dir() and pid.isdigit() and not _alive(int(pid)):
            say(f"removing {folder.relative_to(root)}, which an interrupted session left")
            _remove(root, folder)


def _alive(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))


def _remove(root: Path, *folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    _git(root, "worktree", "prune")
    with suppress(OSError):
        (root / SCRATCH).rmdir()  # if nothing else is in it


def _short(root: Path, revision: str) -> str:
    return _git(root, "rev-parse", "--short=12", revision) or revision


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says, or None where it fails."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
