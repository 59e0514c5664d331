"""Make locks/*.txt: what constraints.txt pins, with the SHA-256 of every file that PyPI has of it (`nox -s lock`).

A lock is what one environment installs. It names no index, and does not repeat what the lock that it includes holds.
torch is installed from torch.txt, PyPI's builds with CUDA's libraries, or from torch-cpu.txt, which is kept by hand:
those builds are not on PyPI. `pip hash FILE` prints the line to add for one.
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
TORCH = ("cuda-", "nvidia-", "torch", "triton")  # with what only PyPI's build for Linux asks for
OLDEST = "3.11.5"  # what a tool for the docs asks for; of the older Pythons 3.11 the lock was not resolved


def compile_selection(selection: str) -> str:
    """Return the requirements of a selection on every platform, with the hashes of their files; it asks PyPI."""
    command = ["uv", "pip", "compile", *selection.split(), "--constraint", "constraints.txt", "--generate-hashes"]
    options = ["--universal", "--python-version", OLDEST, "--no-header", "--no-annotate", "--quiet"]
    return subprocess.run([*command, *options], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def entries(requirements: str) -> dict[str, str]:
    """Return requirements by name, each with the lines of its hashes."""
    blocks = re.findall(r"^\w.*(?:\n .*)*", requirements, re.MULTILINE)
    return {re.split(r"[=\[ ]", block)[0]: block for block in blocks}


def locks(compiled: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each lock: what it includes and what that does not hold; torch in a lock apart."""
    selections = {name: entries(text) for name, text in compiled.items()}
    torch = {name: entry for each in selections.values() for name, entry in each.items() if name.startswith(TORCH)}
    texts = {"torch": HEAD + "".join(f"{entry}\n" for entry in torch.values())}
    for lock, selection in selections.items():
        parent = INCLUDED.get(lock)
        inherited = selections[parent] if parent else {}
        own = [entry for name, entry in selection.items() if name not in torch and inherited.get(name) != entry]
        texts[lock] = HEAD + (f"-r {parent}.txt\n" if parent else "") + "".join(f"{entry}\n" for entry in own)
    return texts


def main() -> None:
    """Write every lock."""
    compiled = {name: compile_selection(selection) for name, selection in SELECTIONS.items()}
    for name, text in locks(compiled).items():
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
