"""Which names a cell reads and writes, so that a failure is traced back to the cell that caused it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from repro.notebooks.reading import parse

_SCOPES = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, kw_only=True)
class CellNames:
    """Names that a cell reads before it writes them, writes (a method called on one may change it), and defines."""

    reads: frozenset[str]
    writes: frozenset[str]
    functions: Mapping[str, frozenset[str]]


def names_in(source: str) -> CellNames:
    """Return the names of a cell; none of one that is no Python."""
    tree = parse(source)
    reads: set[str] = set()
    writes: set[str] = set()
    functions: dict[str, frozenset[str]] = {}
    for statement in tree.body if tree else []:
        loaded = _loaded(statement)
        if isinstance(statement, ast.FunctionDef):  # its names are read where it is called
            functions[statement.name] = frozenset(loaded)
        else:
            reads |= loaded - writes
        writes |= set(_written(statement))
    return CellNames(reads=frozenset(reads), writes=frozenset(writes), functions=functions)


class Blame:
    """Keeps which failed cell each name would have come from."""

    def __init__(self) -> None:
        self._missing: dict[str, int] = {}
        self._functions: dict[str, frozenset[str]] = {}
        self._written: set[str] = set()

    def cause(self, names: CellNames) -> int | None:
        """Return the failed cell that a name read here should have come from, also through a function called."""
        seen: set[str] = set()
        left = set(names.reads)
        while left:
            name = left.pop()
            seen.add(name)
            if name in self._missing:
                return self._missing[name]
            left |= {**self._functions, **names.functions}.get(name, frozenset()) - seen
        return None

    def passed(self, names: CellNames) -> None:
        """Take note of a cell that ran."""
        for name in names.writes:
            self._missing.pop(name, None)
        self._written |= names.writes
        self._functions |= names.functions

    def failed(self, names: CellNames, cause: int) -> None:
        """Take note of a cell whose names are missing because of cell `cause`."""
        self._missing |= dict.fromkeys(names.writes, cause)

    def kernel_lost(self, cause: int) -> None:
        """Take note that cell `cause` ended the kernel, and with it every name written so far."""
        self._missing |= dict.fromkeys(self._written, cause)


def _loaded(statement: ast.stmt) -> set[str]:
    names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    local: set[str] = set()
    for scope in ast.walk(statement):
        if isinstance(scope, _SCOPES):
            local |= {n.arg for n in ast.walk(scope) if isinstance(n, ast.arg)}
            local |= {n.id for n in ast.walk(scope) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names - local


def _written(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in aliases)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))) if name not in _MODULES:
                yield name


_MODULES = ("plt", "pd", "np", "os", "torch", "sns")  # whose functions change nothing that a later cell reads
