"""The code that decides a result: what a section's own imports reach in assets, training and sections."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOMS = ("repro.assets.", "repro.training.", "repro.sections.")


@cache
def source_sha256(module: str) -> str:
    """Return the SHA-256 of a module's code and of all that it reaches; comments, docstrings and layout do not count.

    Imports inside functions count, those for type checkers alone do not.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(reached_code(module).items()):
        digest.update(f"{name}\0{ast.dump(tree)}\0".encode())
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
        elif isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith(ROOMS):
            for full_name in (f"{node.module}.{alias.name}" for alias in node.names):
                yield full_name if _is_module(full_name) else node.module


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module and no package
        return False


def _file_of(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{module} is imported and has no file")
    return Path(spec.origin)


class _Bare(ast.NodeTransformer):
    """Takes out docstrings, and the imports that only a type checker reads."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)
