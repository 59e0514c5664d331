"""A notebook's cells with what the libraries no longer take replaced; the fixes are data, in `fixes.toml`.

ast-grep finds the patterns; only what they match is replaced, so that the rest keeps its comments and its layout.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from repro.errors import UsageError
from repro.notebooks.reading import EXPECTED, joined, parse, without_magics

if TYPE_CHECKING:
    from ast_grep_py import Config, SgNode

# the lines of a code cell that are no Python; the whole of a cell for the shell
_SHELL = re.compile(r"\A\s*%%(?:bash|sh)\b[\s\S]*|^[ \t]*[!%].*", re.MULTILINE)
_ENDS = re.compile(r"[ \t]*;?[ \t]*(?:#.*)?$", re.MULTILINE)  # of a statement that is the last on its line


class Fix(BaseModel):
    """One thing that broke: what matches, what to write instead, since when, why, and where that is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: Literal["code", "before", "text"] = "code"
    old: str = ""
    rule: Mapping[str, Any] | None = None
    constraints: Mapping[str, Any] = {}
    new: str
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

    @property
    def config(self) -> Config:
        """What ast-grep looks for: the rule, or the pattern with either quotes."""
        patterns = [
            {"pattern": {"context": old, "strictness": "ast"}} for old in (self.old, self.old.replace('"', "'"))
        ]
        return {"rule": self.rule or {"any": patterns}, "constraints": self.constraints}  # type: ignore[typeddict-item]


class RepairedCell(NamedTuple):
    """A cell's source after the repair, and the fixes that were made in it."""

    source: str
    fixes: list[Fix]


@cache
def load_fixes() -> tuple[Fix, ...]:
    """Read and check the fixes that come with the suite."""
    text = files("repro.notebooks").joinpath("fixes.toml").read_text(encoding="utf-8")
    return tuple(Fix.model_validate(fix) for fix in tomllib.loads(text)["fix"])


def repaired(sources: Sequence[tuple[str, str]]) -> list[RepairedCell]:
    """Return the cells, given as kind (`code` or `markdown`) and source, after the repair."""
    code = "\n".join(source for kind, source in sources if kind == "code")
    cells = [RepairedCell(source, []) for _, source in sources]
    for fix in load_fixes():
        if not re.search(fix.only, code) or (fix.unless and re.search(fix.unless, code)):
            continue
        for i, (kind, _) in enumerate(sources):
            text, fixes = cells[i]
            if fix.kind == "text":
                changed = _in_text(fix, text, kind)
            else:
                changed = _in_code(fix, text, code) if kind == "code" else text
            cells[i] = RepairedCell(changed, fixes + [fix] * (changed != text))
    return cells


def repair_notebook(notebook: dict[str, Any], *, drop_outputs: bool) -> list[tuple[str, str, str, str]]:
    """Repair the cells of a notebook's JSON; return a row a fix: where, its name, since which version, why."""
    cells = [(str(cell.get("cell_type")), joined(cell.get("source"))) for cell in notebook["cells"]]
    rows = []
    number = 0
    for cell, (kind, _), fixed in zip(notebook["cells"], cells, repaired(cells), strict=True):
        number += kind == "code"
        if fixed.fixes:
            cell["source"] = fixed.source
        if drop_outputs and kind == "code":
            cell |= {"outputs": [], "execution_count": None}
        where = str(number) if kind == "code" else f"text after {number}"
        rows += [(where, fix.id, fix.since, fix.reason) for fix in fixed.fixes]
    return rows


def write_notebook(notebook: Mapping[str, Any], path: Path) -> None:
    """Write a notebook's JSON through nbformat; UsageError where it is not laid out as that says."""
    import nbformat

    try:
        text = nbformat.writes(nbformat.from_dict(notebook))
    except (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise UsageError(f"the notebook is not laid out as Jupyter's format 4 says ({what})", EXPECTED) from None
    path.write_text(text + "\n", encoding="utf-8")


def _in_text(fix: Fix, source: str, kind: str) -> str:
    """Replace the text in markdown, and in a code cell's lines for the shell."""
    if kind != "code":
        return re.sub(fix.old, fix.new, source)
    return _SHELL.sub(lambda lines: re.sub(fix.old, fix.new, lines[0]), source)


def _in_code(fix: Fix, source: str, code: str) -> str:
    """Replace every match in a cell that is Python, under the reason for the first one."""
    from ast_grep_py import SgRoot

    if source.lstrip().startswith("%%") or parse(source) is None:
        return source
    edits: dict[tuple[int, int], str] = {}
    for node in SgRoot(without_magics(source), "python").root().find_all(fix.config):
        named = rf"^\s*{re.escape(node['OF'].text())}\s*=[^\n]*{re.escape(fix.of)}" if fix.of else ""
        if not re.search(named, code, re.MULTILINE):
            continue
        line = _line_above(node, source)
        indent = source[line : len(source) - len(source[line:].lstrip())]
        place = node.range()
        start, end = place.start.index, place.end.index
        alone = not source[line:start].strip() and _ENDS.match(source, end)
        if fix.kind == "code" and "\n" in fix.new.strip() and not alone:
            continue  # several lines don't fit between other statements
        above = [] if edits else [fix.comment]
        if fix.kind == "before":
            above += fix.new.split("\n")
        else:
            edits[start, end] = _filled(fix, node, indent) or ("pass" if indent else "")
        edits.setdefault((line, line), "".join(f"{indent}{each}\n" for each in above))
    changed = source
    for (start, end), text in sorted(edits.items(), reverse=True):
        changed = changed[:start] + text + changed[end:]
    return source if parse(changed) is None else changed


def _line_above(node: SgNode, source: str) -> int:
    """Return where the line starts above which more may stand: the first of a statement around the node."""
    line = 0
    for statement in [node, *node.ancestors()]:
        if (parent := statement.parent()) and parent.kind() in ("module", "block"):
            start = statement.range().start.index
            line = source.rfind("\n", 0, start) + 1
            if not source[line:start].strip():
                break
    return line


def _filled(fix: Fix, node: SgNode, indent: str) -> str:
    """Return the replacement, indented, with the parts of the match in the places of `$NAME` and `$$$NAME`."""

    def part(place: re.Match[str]) -> str:
        comma, rest, name = place.groups()
        if rest:
            texts = [n.text() for n in node.get_multiple_matches(rest) if n.is_named() and n.kind() != "comment"]
            return f"{comma}{', '.join(texts)}" if texts else ""
        if name == "MODEL":
            given = node.find(kind="keyword_argument", regex=r"^model\s*=")
            value = given.field("value") if given else None
            return value.text() if value else f'"{fix.model}"'
        return node[name].text()

    return re.sub(r"(, |)\$\$\$([A-Z]+)|\$([A-Z]+)", part, re.sub(r"\n(?=.)", f"\n{indent}", fix.new.strip("\n")))
