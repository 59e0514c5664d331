"""A notebook's cells, from an .ipynb or its text export, within bounds: nothing is executed, nothing recurses on depth.

In a text export each code cell follows a line `In [None]:`, and the text of the next cell follows it without a mark;
the cell is the longest beginning of whole paragraphs that is Python. Which names a cell reads and writes is told from
its syntax tree, so that a failure is traced back to the cell that caused it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import symtable
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from repro.errors import UsageError

LARGEST_BYTES = 100 * 2**20  # an executed notebook with pictures has a few million
MOST_CELLS = 10_000
MOST_TEXT = 500_000  # characters of one output that are looked at
MOST_SOURCE = 100_000  # characters of one cell that are parsed
EXPECTED = "Expected a notebook of Jupyter's format 4 (.ipynb) or its text export."
_EXPORT_CELL = re.compile(r"^(?:# )?In ?\[(?:None|\d*| )\]:[ \t]*$", re.MULTILINE)
_BLANK = re.compile(r"(\n[ \t]*(?=\n))")
_MAGIC = re.compile(r"^(\s*)(?:[%!?]|[\w, ()\[\]]+= ?[%!])")  # also of the form `files = !ls`
_MODULES = ("plt", "pd", "np", "os", "torch", "sns")  # whose functions change nothing that a later cell reads


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a cell showed: its text, whether that is HTML, and whether it tells of an error."""

    text: str
    html: bool = False
    error: bool = False


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A code cell, numbered from 1 among the code cells; `count` is the number that the kernel gave it."""

    number: int
    source: str
    outputs: tuple[Output, ...] = ()
    count: int | None = None

    @property
    def magics(self) -> tuple[str, ...]:
        """The lines that only IPython knows: `!pip …`, `%matplotlib inline`; the whole of a `%%bash` cell."""
        lines = self.source.split("\n")
        if self.source.lstrip().startswith("%%"):
            return (self.source.strip(),)
        return tuple(line.strip() for line in lines if _MAGIC.match(line))


def read_notebook(file: Path) -> tuple[Cell, ...]:
    """Return the code cells of an .ipynb or a text export; UsageError names the file and what is wrong with it."""
    return cells_of(load_notebook(file), str(file))


def read_text(file: Path, expected: str) -> str:
    """Return a file's text; UsageError, with what was `expected`, for a folder, a huge file, or no UTF-8."""
    try:
        if file.is_dir():
            raise UsageError(f"{file} is a folder", expected)
        if file.stat().st_size > LARGEST_BYTES:
            raise UsageError(f"{file} has more than {LARGEST_BYTES // 2**20} MiB", expected)
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text in UTF-8", expected) from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}", expected) from None


def parse_json(content: str, name: str) -> Any:
    """Parse JSON; UsageError where it is none, nests too deep, or holds a number of thousands of digits."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{name} is no complete JSON: {error}", "Save or copy it again, whole.") from None


def load_notebook(file: Path) -> dict[str, Any]:
    """Return a notebook of format 4 as JSON, also of a text export; UsageError for another kernel than Python's."""
    content, name = read_text(file, EXPECTED), str(file)
    if not content.lstrip().startswith("{"):
        parts: list[dict[str, Any]] = [
            {"cell_type": kind, "metadata": {}, "source": source}
            | ({"outputs": [], "execution_count": None} if kind == "code" else {})
            for kind, source in export_parts(content)
        ]
        return {"cells": parts, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    data = parse_json(content, name)
    cells_of(data, name)
    if not all(isinstance(cell, dict) for cell in data["cells"]):
        raise UsageError(f"{name} lists a cell that is none of Jupyter's format 4", EXPECTED)
    metadata = data.get("metadata")
    for key, name_of in (("kernelspec", "language"), ("language_info", "name")):
        about = metadata.get(key) if isinstance(metadata, dict) else None
        language = str(about.get(name_of) or "python").lower() if isinstance(about, dict) else "python"
        if language not in ("python", "python3", "ipython"):
            raise UsageError(f"{name} is a notebook of {language[:40]}", "Only Python's are run and repaired.")
    return dict(data)


def cells_of(data: Any, name: str) -> tuple[Cell, ...]:
    """Return the code cells of a notebook's JSON; a cell that is not laid out as one is an empty one."""
    cells = data.get("cells") if isinstance(data, dict) else None
    if not isinstance(cells, list):
        raise UsageError(f"{name} is no notebook of Jupyter's format 4", EXPECTED)
    code = [cell for cell in cells[:MOST_CELLS] if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    return tuple(
        Cell(
            number=number,
            source=joined(cell.get("source")),
            outputs=tuple(_outputs(cell.get("outputs"))),
            count=count if isinstance(count := cell.get("execution_count"), int) else None,
        )
        for number, cell in enumerate(code, start=1)
    )


def _outputs(outputs: Any) -> Iterator[Output]:
    """Yield HTML where there is some, else plain text; the beginning of HTML, the end of a stream."""
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict):
            continue
        data: Mapping[str, Any] = output["data"] if isinstance(output.get("data"), dict) else {}
        if output.get("output_type") == "error":
            yield Output(text=f"{output.get('ename')}: {output.get('evalue')}"[:MOST_TEXT], error=True)
        elif html := joined(data.get("text/html")):
            yield Output(text=html[:MOST_TEXT], html=True)
        elif text := joined(data.get("text/plain") or output.get("text")):
            yield Output(text=text[-MOST_TEXT:])


def export_parts(content: str) -> list[tuple[str, str]]:
    """Return all cells of a text export as kind and source: code, and the text before and after it as markdown."""
    head, *parts = _EXPORT_CELL.split(content)[: MOST_CELLS + 1]
    cells = [("markdown", head.strip())]
    for part in parts:
        code = _code_before_text(part)
        cells += [("code", code), ("markdown", part.strip("\n")[len(code) :].strip())]
    return [(kind, source) for kind, source in cells if source or kind == "code"]


def _code_before_text(part: str) -> str:
    """Return the longest beginning of whole paragraphs that parses; the first paragraph where none does."""
    paragraphs = _BLANK.split(part[:MOST_SOURCE].strip("\n"))  # and the blank lines between them
    while len(paragraphs) > 1:
        only_comments = all(line.startswith("#") for line in paragraphs[-1].strip().split("\n"))  # likely a heading
        if not only_comments and parse("".join(paragraphs)) is not None:
            break
        del paragraphs[-2:]
    return "".join(paragraphs).rstrip()


def parse(source: str) -> ast.Module | None:
    """Parse a cell without its magics; None where it is no Python or larger than a cell is."""
    if len(source) > MOST_SOURCE or source.lstrip().startswith("%%"):
        return ast.Module(body=[], type_ignores=[]) if source.lstrip().startswith("%%") else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the reader's code: an invalid escape, `is` with a literal
            return ast.parse(without_magics(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def without_magics(source: str) -> str:
    """Return the cell with a zero and blanks in place of each magic, so that everything stays in its place."""
    return "\n".join(
        f"{match[1]}0".ljust(len(line)) if (match := _MAGIC.match(line)) else line for line in source.split("\n")
    )


def code_hash(cells: tuple[Cell, ...]) -> str:
    """Return the SHA-256 of all code, by which the course's own notebook is known."""
    return hashlib.sha256("\n\0\n".join(cell.source.strip() for cell in cells).encode()).hexdigest()


def joined(value: Any) -> str:
    """Return the text of a JSON string or list of strings; nothing for anything else."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


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
