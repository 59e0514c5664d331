"""Where a record comes from: code, versions, processor, accelerator, time. No host name, no user, no path.

`source_sha256` is of the code that decides a result: what a section's own imports reach in assets, training, sections.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

LIBRARIES = (
    "torch", "transformers", "tokenizers", "accelerate", "datasets", "huggingface-hub", "safetensors",
    "numpy", "scipy", "scikit-learn", "umap-learn", "pytest-benchmark",
)  # fmt: skip
ROOMS = ("repro.assets.", "repro.training.", "repro.sections.")


class Provenance(BaseModel):
    """Code, versions and machine of a run; times are UTC in ISO 8601. `gpu` is what CUDA's own libraries are."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    started: str
    commit: str | None
    dirty: bool | None
    suite: str
    python: str
    versions: dict[str, str]
    system: str
    processor: str
    cores: int
    threads: int
    accelerator: str | None = None
    driver: str | None = None
    gpu: dict[str, str] = {}


def utc_now() -> str:
    """Return the time as `2026-01-31T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def collect_provenance(*, started: str, threads: int, **accelerator: Any) -> Provenance:
    """Gather a run's provenance; the caller, who may know torch, names threads and the GPU's fields."""
    import repro

    commit, dirty = code_state()
    return Provenance(
        started=started, commit=commit, dirty=dirty, suite=repro.__version__, python=platform.python_version(),
        versions=library_versions(), system=f"{platform.system()} {platform.machine()}", processor=processor_name(),
        cores=os.cpu_count() or 1, threads=threads, **accelerator,
    )  # fmt: skip


def peak_mib() -> float:
    """Return the most memory that this process has held so far, in MiB, the GPU's not counted."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    if sys.platform == "linux":  # where getrusage would begin with what the parent process once held
        return float(Path("/proc/self/status").read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def driver_version() -> str | None:
    """Return the NVIDIA driver's version, or None where its tool is not installed."""
    answer = _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return answer.splitlines()[0].strip() if answer else None


@cache
def code_state() -> tuple[str | None, bool | None]:
    """Return the suite's commit and whether its code differs from it; results do not count, a plain copy has none."""
    root = Path(__file__).resolve().parents[2]
    git = partial(git_output, root)
    top, commit, changes = git("rev-parse", "--show-toplevel"), git("rev-parse", "HEAD"), None
    if top and commit and Path(top).resolve() == root:  # else it is installed inside somebody else's repository
        changes = git("status", "--porcelain", "--", ".", ":!results")
    return (None, None) if changes is None else (commit, bool(changes))


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries whose changes could move a number."""
    versions = dict.fromkeys(LIBRARIES, "not installed")
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def processor_name() -> str:
    """Return the processor's model name as the system names it."""
    cpuinfo = ""
    with suppress(OSError):
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()


def git_output(folder: Path, *arguments: str) -> str | None:
    """Return what git says in a folder, None where it fails or is not there."""
    return _output("git", "-C", str(folder), *arguments)


def _output(*command: str) -> str | None:
    """Return what a program prints, None where it fails or is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def source_sha256(module: str) -> str:
    """Return the SHA-256 of a module's code and of all that it reaches; comments, docstrings and layout do not count.

    Imports inside functions count, those for type checkers alone do not; so does a TOML beside a module of its name.
    Every version of Python gives the same.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(reached_code(module).items()):
        data = _file_of(name).with_suffix(".toml")
        values = tomllib.loads(data.read_text(encoding="utf-8")) if data.is_file() else ""
        digest.update(f"{name}\0{_dump(tree)}\0{values}\0".encode())
    return digest.hexdigest()


def _dump(node: Any) -> str:
    """Return a syntax tree as text, alike in every version of Python: `ast.dump` names empty fields in some of them."""
    if isinstance(node, ast.Constant):
        return f"Constant({node.value!a})"
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields)
        own = ",".join(f"{name}={_dump(value)}" for name, value in fields if value not in (None, []))
        return f"{type(node).__name__}({own})"
    return f"[{','.join(map(_dump, node))}]" if isinstance(node, list) else repr(node)


def reached_code(module: str) -> dict[str, ast.Module]:
    """Return by name the code of a module and of those that it reaches in ROOMS, stripped of what changes nothing."""
    trees: dict[str, ast.Module] = {}
    ahead = [module]
    while ahead:
        name = ahead.pop()
        if name not in trees:
            trees[name] = _Bare().visit(ast.parse(_file_of(name).read_bytes()))
            ahead += _imported(trees[name])
    return trees


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(ROOMS))
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(ROOMS):
            folders = _spec_of(str(node.module)).submodule_search_locations or ()
            for name in (alias.name for alias in node.names):
                is_module = any(Path(folder, f"{name}.py").is_file() for folder in folders)
                yield f"{node.module}.{name}" if is_module else str(node.module)


def _file_of(module: str) -> Path:
    return Path(str(_spec_of(module).origin))


def _spec_of(module: str) -> ModuleSpec:
    if spec := find_spec(module):  # imports the packages above it, not the module
        return spec
    raise ModuleNotFoundError(f"{module} is imported and has no file")


class _Bare(ast.NodeTransformer):
    """Takes out docstrings, the imports that only a type checker reads, and what Python 3.12 adds to format strings."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        node.values = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)
