"""The code that decides a result: what a section's own imports reach in assets, training and sections."""

from __future__ import annotations

import ast
import hashlib
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

ROOMS = ("repro.assets.", "repro.training.", "repro.sections.")


@cache
def source_sha256(module: str) -> str:
    """Return the SHA-256 of a module's code and of all that it reaches; comments, docstrings and layout do not count.

    Imports inside functions count, those for type checkers alone do not; so does a TOML beside a module of its name.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(reached_code(module).items()):
        data = _file_of(name).with_suffix(".toml")
        values = tomllib.loads(data.read_text(encoding="utf-8")) if data.is_file() else ""
        digest.update(f"{name}\0{ast.dump(tree)}\0{values}\0".encode())
    return digest.hexdigest()


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
    """Takes out docstrings, and the imports that only a type checker reads."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)
