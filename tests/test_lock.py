"""The locks of locks/: the versions of constraints.txt, a hash for every file, no index; how one is made."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docs.lock import FOLDER, HEAD, INCLUDED, SELECTIONS, locks

ROOT = Path(__file__).parents[1]
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


@pytest.mark.parametrize("requirement", asked_for(), ids=str)
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
