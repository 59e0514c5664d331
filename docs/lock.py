"""Make locks/*.txt: what constraints.txt pins, with the SHA-256 of every file that PyPI has of it (`nox -s lock`).

A lock is what one environment installs. It names no index, and does not repeat what the lock that it includes holds.
torch's CPU builds for Linux are not on PyPI: locks/torch-cpu.sha256 has their hashes, as `sha256sum FILE` prints them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "locks"
HEAD = """\
# Made by `nox -s lock` from constraints.txt and pyproject.toml: pip install --no-deps --require-hashes -r FILE
--only-binary :all:  # to build a package would fetch requirements that have no hash
"""
PROJECT = "pyproject.toml --group build"
TRAIN = f"{PROJECT} --extra train --extra offline"
SELECTIONS = {  # of pyproject.toml, as uv pip compile takes them
    "base": PROJECT,
    "train": TRAIN,
    "suite": f"{TRAIN} --extra projection --extra bench --extra notebook --group test --group types",
    "page": f"{PROJECT} --group page",
    "wheel": "--group wheel --group build",
    **{group: f"--group {group}" for group in ("audit", "docs", "lint", "lock", "nox")},
}
INCLUDED = {"train": "base", "suite": "train", "page": "base"}
CUDA_PREFIXES = ("cuda-", "nvidia-", "triton")  # what torch's CUDA build asks for beside what its CPU build does

OLDEST = "3.11.5"  # what a tool for the docs asks for; of the older Pythons 3.11 the lock was not resolved

Entries = Mapping[str, str]


def compile_selection(selection: str) -> str:
    """Return the requirements of a selection on every platform, with the hashes of their files; it asks PyPI."""
    command = ["uv", "pip", "compile", *selection.split(), "--constraint", "constraints.txt", "--generate-hashes"]
    options = ["--universal", "--python-version", OLDEST, "--no-header", "--no-annotate", "--quiet"]
    return subprocess.run([*command, *options], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def entries(requirements: str, sums: str) -> Entries:
    """Return requirements by name, each with the lines of its hashes, torch's with those of its CPU builds."""
    blocks = re.findall(r"^\w.*(?:\n .*)*", requirements, re.MULTILINE)
    by_name = {re.split(r"[=\[ ]", block)[0]: block for block in blocks}
    if torch := by_name.get("torch"):
        by_name["torch"] = with_cpu_builds(torch, sums)
    return by_name


def with_cpu_builds(torch: str, sums: str) -> str:
    """Return torch's entry with the hashes of the CPU builds of its version; ValueError where there are none."""
    version = re.split("[= ]+", torch)[1]
    hashes = [line.split()[0] for line in sums.splitlines() if f"torch-{version}+cpu-" in line]
    if not hashes:
        raise ValueError(f"locks/torch-cpu.sha256 names no CPU build of torch {version}: add what sha256sum prints")
    return " \\\n".join([torch, *(f"    --hash=sha256:{digest}" for digest in hashes)])


def locks(compiled: Mapping[str, str], sums: str) -> dict[str, str]:
    """Return the text of each lock: what it includes, what that does not hold; CUDA's libraries in a lock apart."""
    selections = {name: entries(text, sums) for name, text in compiled.items()}
    cuda = {
        name: entry for each in selections.values() for name, entry in each.items() if name.startswith(CUDA_PREFIXES)
    }
    texts = {"cuda": HEAD + "".join(f"{entry}\n" for entry in cuda.values())}
    for lock, selection in selections.items():
        parent = INCLUDED.get(lock)
        inherited = selections[parent] if parent else {}
        own = [e for name, e in selection.items() if name not in cuda and inherited.get(name) != e]
        texts[lock] = HEAD + (f"-r {parent}.txt\n" if parent else "") + "".join(f"{entry}\n" for entry in own)
    return texts


def main() -> None:
    """Write every lock."""
    compiled = {name: compile_selection(selection) for name, selection in SELECTIONS.items()}
    sums = (FOLDER / "torch-cpu.sha256").read_text(encoding="utf-8")
    for name, text in locks(compiled, sums).items():
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
