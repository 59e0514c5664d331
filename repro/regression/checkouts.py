"""The two sides of a session: this working tree, and another revision in a git worktree with its environment.

Worktree and environment lie in a folder of their own, `build/regress-*`, which is removed when the session ends.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from repro.errors import NotComparableError, ResultsError, UsageError
from repro.records.provenance import git_output, library_versions

WORKER = "benchmarks/worker.py"
ANOTHER = "Compare with another revision: --against REV."
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
    root = git_output(Path.cwd(), "rev-parse", "--show-toplevel")
    if root is None:
        raise UsageError("this folder is no git checkout", "Run it inside a clone, or compare two results folders.")
    return Path(root)


def working_tree(root: Path, python: str) -> Checkout:
    """Return the candidate: the working tree as it is, uncommitted changes included."""
    if not (root / WORKER).is_file():
        raise UsageError(f"{root.name} has no {WORKER}", "Run it in a checkout that has one.")
    if shutil.which(python) is None:
        raise UsageError(f"there is no interpreter {python}", "Name one with --python.")
    changed = " with uncommitted changes" if git_output(root, "status", "--porcelain", "--untracked-files=no") else ""
    return Checkout(name=f"{resolve(root, 'HEAD')[:12]}{changed}", folder=root, python=python)


def resolve(root: Path, revision: str | None) -> str:
    """Return the commit of a revision, of HEAD's first parent for None; UsageError where it is not there."""
    commit = git_output(root, "rev-parse", "--verify", "--quiet", f"{revision or 'HEAD^'}^{{commit}}")
    if commit is not None:
        return commit
    if git_output(root, "rev-parse", "--is-shallow-repository") == "true":
        raise UsageError(
            f"this clone is shallow and lacks {revision or 'the parent of HEAD'}",
            "Fetch it: git fetch --unshallow, in a workflow fetch-depth: 0.",
        )
    what = f"there is no revision {revision}" if revision else "HEAD has no parent to compare with"
    raise UsageError(what, "Name one with --against REV.")


@contextmanager
def checkout_of(root: Path, commit: str, say: Callable[[str], None]) -> Iterator[Checkout]:
    """Check a commit out beside the working tree, with its own environment where its dependencies differ.

    NotComparableError where it is older than the gate or does not install; nothing is left behind.
    """
    if git_output(root, "cat-file", "-e", f"{commit}:{WORKER}") is None:
        raise NotComparableError(f"{commit[:12]} is older than this gate: it has no {WORKER}", ANOTHER)
    try:
        (root / "build").mkdir(exist_ok=True)
        scratch = TemporaryDirectory(prefix="regress-", dir=root / "build", ignore_cleanup_errors=True)
    except OSError as error:
        raise ResultsError(
            f"cannot write to {root / 'build'}: {error.strerror}", "Make it a writable folder."
        ) from None
    try:
        with scratch:
            yield _prepared(root, commit, Path(scratch.name), say)
    finally:
        git_output(root, "worktree", "prune")


def _prepared(root: Path, commit: str, scratch: Path, say: Callable[[str], None]) -> Checkout:
    """Check a commit out into a scratch folder and give it an interpreter: ours, or that of its own environment."""
    name, folder, environment = commit[:12], scratch / "baseline", scratch / "environment"
    no_hooks = "-c", "core.hooksPath=/dev/null"
    if why := _failure(root, "git", *no_hooks, "worktree", "add", "--detach", "--quiet", str(folder), commit):
        raise ResultsError(f"git can't check {name} out: {why}", "Fix that and start again; nothing is left.")
    if _dependencies(folder) == _dependencies(root):
        return Checkout(name=name, folder=folder, python=sys.executable)
    say(f"the dependencies of {name} differ from ours: making its environment, which takes minutes")
    python = str(environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    if why := _failure(folder, sys.executable, "-m", "venv", str(environment)) or _install(folder, python):
        raise NotComparableError(f"{name} does not install: {why}", ANOTHER)
    return Checkout(name=name, folder=folder, python=python)


def _install(folder: Path, python: str) -> str:
    """Install what a checkout needs: of its lock if it has one, else within its constraints; return why that fails.

    The lock goes without the checkout itself, which its worker imports from the folder.
    """
    pip, locks = (python, "-m", "pip", "install", "--quiet"), folder / "locks"
    if (locks / "train.txt").is_file():
        torch = "torch-cpu" if library_versions()["torch"].endswith("+cpu") else "torch"  # the build that we have
        files = (part for lock in (torch, "train") for part in ("--requirement", str(locks / f"{lock}.txt")))
        return _failure(folder, *pip, "--no-deps", "--require-hashes", *files)
    pins = ("--constraint", "constraints.txt") if (folder / "constraints.txt").is_file() else ()
    return _failure(folder, *pip, *pins, ".[offline]")


def _dependencies(folder: Path) -> Any:
    """Return all that decides which libraries a checkout gets."""
    project, pins = (
        file.read_text(encoding="utf-8") if file.is_file() else ""
        for file in (folder / "pyproject.toml", folder / "constraints.txt")
    )
    return [tomllib.loads(project).get("project", {}).get(name) for name in DECIDING], pins


def _failure(folder: Path, *command: str) -> str:
    """Run a command and return the last line of what it says where it fails, else nothing."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""
