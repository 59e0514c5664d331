"""Which names a cell reads and writes, so that a failure is traced back to the cell that caused it."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from repro.notebooks.reading import parse

_MODULES = ("plt", "pd", "np", "os", "torch", "sns")  # whose functions change nothing that a later cell reads


class CellNames(NamedTuple):
    """Names that a cell reads before it writes them, writes (a method called on one may change it), and defines."""

    reads: set[str]
    writes: set[str]
    functions: dict[str, set[str]]


def names_in(source: str) -> CellNames:
    """Return the names of a cell; none of one that is no Python."""
    tree = parse(source)
    names = CellNames(set(), set(), {})
    for statement in tree.body if tree else []:
        try:
            table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        except (SyntaxError, RecursionError):  # a `return` outside a function; the kernel says so
            continue
        symbols = [symbol for scope in _scopes(table) for symbol in scope.get_symbols()]
        loaded = {s.get_name() for s in symbols if s.is_referenced() and s.is_global()}
        if isinstance(statement, ast.FunctionDef):  # its names are read where it is called
            names.functions[statement.name] = loaded
        else:
            names.reads.update(loaded - names.writes)
        names.writes.update(s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported())
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))) if name not in _MODULES:
                names.writes.add(name)
    return names


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    return chain([table], *map(_scopes, table.get_children()))


class Blame:
    """Remembers which failed cell each name would have come from."""

    def __init__(self) -> None:
        self._missing: dict[str, int] = {}
        self._functions: dict[str, set[str]] = {}
        self._written: set[str] = set()

    def cause(self, number: int, names: CellNames, *, failed: bool = False, kernel_lost: bool = False) -> int | None:
        """Take note of a cell; return the failed one that a name read here, or in a function called, is missing of."""
        read = list(names.reads)
        for name in read:  # it grows
            read += {**self._functions, **names.functions}.get(name, set()) - set(read)
        cause = min((self._missing[name] for name in read if name in self._missing), default=None)
        if kernel_lost:  # and with it every name written so far
            self._missing |= dict.fromkeys(self._written, number)
        if failed or cause:  # one that ran had an older value under that name
            self._missing |= dict.fromkeys(names.writes, cause or number)
        else:
            self._missing = {name: cell for name, cell in self._missing.items() if name not in names.writes}
            self._written |= names.writes
            self._functions |= names.functions
        return cause
