"""A notebook's cells with what the libraries no longer take replaced; the fixes are data, in `fixes.toml`.

Patterns are matched on the syntax tree, replacements spliced into the source at the places that the tree names: what
is not replaced keeps its comments and its layout to the byte.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import Literal

from pydantic import BaseModel, ConfigDict

from repro.notebooks.reading import parse


class Fix(BaseModel):
    """One thing that broke: what matches, what to write instead, since when, why, and where that is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: Literal["keyword", "code", "before", "text"]
    old: str
    new: str
    call: tuple[str, ...] = ()
    of: str = ""
    model: str = ""
    only: str = ""
    unless: str = ""
    since: str
    reason: str
    source: str
    before: str
    after: str

    @property
    def comment(self) -> str:
        """The line that goes above what was replaced."""
        return f"# repaired (since {self.since}): {self.reason}"


@dataclass(frozen=True, kw_only=True)
class RepairedCell:
    """A cell's source after the repair, and the fixes that were fixes in it."""

    source: str
    fixes: tuple[Fix, ...] = ()


@dataclass
class _Match:
    """The parts of a pattern: the source of each name in capitals, and of the further arguments."""

    source: str
    parts: dict[str, str] = field(default_factory=dict)
    model: str = ""


@cache
def load_fixes() -> tuple[Fix, ...]:
    """Read and check the fixes that come with the suite."""
    text = files("repro.notebooks").joinpath("fixes.toml").read_text(encoding="utf-8")
    return tuple(Fix.model_validate(fix) for fix in tomllib.loads(text)["fix"])


def repaired(sources: Sequence[tuple[str, str]]) -> list[RepairedCell]:
    """Return the cells, given as kind (`code` or `markdown`) and source, after the repair."""
    code = "\n".join(source for kind, source in sources if kind == "code")
    wanted = [fix for fix in load_fixes() if _applies(fix, code)]
    cells = []
    for kind, source in sources:
        fixes: list[Fix] = []
        text = source
        for fix in wanted:
            changed = _in_text(fix, text, kind) if fix.kind == "text" else _in_code(fix, text, code, kind)
            if changed != text:
                text = changed
                fixes.append(fix)
        cells.append(RepairedCell(source=text, fixes=tuple(fixes)))
    return cells


def _applies(fix: Fix, code: str) -> bool:
    return not (fix.only and not re.search(fix.only, code)) and not (fix.unless and re.search(fix.unless, code))


def _in_text(fix: Fix, text: str, kind: str) -> str:
    if kind != "code":
        return re.sub(fix.old, fix.new, text)
    lines = text.split("\n")
    return "\n".join(re.sub(fix.old, fix.new, line) if line.lstrip()[:1] in ("!", "%") else line for line in lines)


def _in_code(fix: Fix, source: str, code: str, kind: str) -> str:
    tree = parse(source) if kind == "code" and not source.lstrip().startswith("%%") else None
    if tree is None:
        return source
    edits: list[tuple[int, int, str]] = []
    places = _Places(source)
    for statement in (node for node in ast.walk(tree) if isinstance(node, ast.stmt)):
        here = [edit for node in _own_nodes(statement) if (edit := _edit(fix, node, places, code)) is not None]
        if not here:
            continue
        start, indent = places.start(statement), " " * statement.col_offset
        above = [] if edits else [fix.comment]
        if fix.kind == "before":
            above += fix.new.split("\n")
            here = []
        edits += [*here, (start, start, "".join(f"{line}\n{indent}" for line in above))]
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    return source


def _own_nodes(statement: ast.stmt) -> list[ast.AST]:
    """Return a statement and its expressions, without the statements in its body."""
    nodes: list[ast.AST] = [statement]
    left = [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]
    while left:
        node = left.pop()
        nodes.append(node)
        left += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
    return nodes


class _Places:
    """Where nodes stand in a source: characters, where the tree counts lines and bytes."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._lines = source.split("\n")
        self._starts = list(accumulate((len(line) + 1 for line in self._lines), initial=0))

    def start(self, node: ast.stmt | ast.expr | ast.keyword) -> int:
        return self._at(node.lineno, node.col_offset)

    def end(self, node: ast.stmt | ast.expr | ast.keyword) -> int:
        return self._at(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def text(self, node: ast.stmt | ast.expr | ast.keyword) -> str:
        return self.source[self.start(node) : self.end(node)]

    def _at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())


def _edit(fix: Fix, node: ast.AST, places: _Places, code: str) -> tuple[int, int, str] | None:
    """Return where the fix replaces what by what in a node, None where it does not match."""
    if fix.kind == "keyword":
        words = node.keywords if isinstance(node, ast.Call) and _name(node.func) in fix.call else []
        starts = [places.start(word) for word in words if word.arg == fix.old]
        return (starts[0], starts[0] + len(fix.old), fix.new) if starts else None
    pattern = ast.parse(fix.old).body[0]
    wanted: ast.AST = pattern.value if isinstance(pattern, ast.Expr) else pattern
    match = _Match(places.source)
    if not isinstance(node, ast.expr | ast.stmt) or not _matches(wanted, node, match, places):
        return None
    if fix.of and not re.search(
        rf"^\s*{re.escape(match.parts['OF'])}\s*=[^\n]*{re.escape(fix.of)}", code, re.MULTILINE
    ):
        return None
    start, end = places.start(node), places.end(node)
    new = _filled(fix, match)
    return start, end, "pass" if isinstance(node, ast.stmt) and not new and node.col_offset else new


def _filled(fix: Fix, match: _Match) -> str:
    parts: Mapping[str, str] = {**match.parts, "MODEL": match.model or repr(fix.model).replace("'", '"')}
    new = fix.new.strip("\n")
    if not parts.get("*REST"):
        new = new.replace(", *REST", "").replace("*REST", "")
    return re.sub(r"\*?\b[A-Z]+\b", lambda name: parts.get(name[0], name[0]), new)


def _matches(pattern: object, node: object, match: _Match, places: _Places) -> bool:
    """Compare two trees; a name in capitals in the pattern takes any expression, the same each time."""
    if (
        isinstance(pattern, ast.Name)
        and pattern.id.isupper()
        and isinstance(node, ast.expr)
        and not isinstance(node, ast.Slice)
    ):
        text = places.text(node)
        return match.parts.setdefault(pattern.id, text) == text
    if isinstance(pattern, ast.Call) and isinstance(node, ast.Call):
        return _matches(pattern.func, node.func, match, places) and _match_arguments(pattern, node, match, places)
    if isinstance(pattern, list) and isinstance(node, list):
        return len(pattern) == len(node) and all(
            _matches(p, n, match, places) for p, n in zip(pattern, node, strict=True)
        )
    if isinstance(pattern, ast.AST):
        return type(pattern) is type(node) and all(
            _matches(value, getattr(node, name), match, places)
            for name, value in ast.iter_fields(pattern)
            if name not in ("ctx", "kind", "type_comment")
        )
    return pattern == node


def _match_arguments(pattern: ast.Call, node: ast.Call, match: _Match, places: _Places) -> bool:
    """Match the arguments that the pattern names, in any order for keywords; the others are its *REST."""
    named = [argument for argument in pattern.args if not isinstance(argument, ast.Starred)]
    words = {word.arg: word.value for word in pattern.keywords}
    open_end = len(named) < len(pattern.args)
    if len(node.args) < len(named) or not words.keys() <= {word.arg for word in node.keywords}:
        return False
    rest: list[ast.expr | ast.keyword] = [*node.args[len(named) :], *(w for w in node.keywords if w.arg not in words)]
    if rest and not open_end:
        return False
    match.parts["*REST"] = ", ".join(places.text(argument) for argument in rest)
    match.model = next((places.text(w.value) for w in node.keywords if w.arg == "model"), match.model)
    return all(_matches(p, n, match, places) for p, n in zip(named, node.args, strict=False)) and all(
        _matches(words[word.arg], word.value, match, places) for word in node.keywords if word.arg in words
    )


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
