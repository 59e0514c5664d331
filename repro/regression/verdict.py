"""What is said of a comparison, what of it fails, and how that is shown: terminal, Markdown, JUnit XML, JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any, Literal

from repro.display import Table
from repro.errors import printable, unknown

MARGIN = 0.05  # what is slower by more than this share is a regression
SIDES = ("baseline", "candidate")
COLUMNS = ("what", *SIDES, "difference [interval]", "answer")
MOST_NAMED = 12  # of those of which one reason is given
CONCLUSIONS = {0: "no regression", 1: "regression", 6: "nothing could be judged"}


class Answer(StrEnum):
    """The answers; what could not be decided is never called a pass."""

    HOLDS = "holds"
    REGRESSION = "regression"
    MISSING = "missing"
    NOT_IN_BASELINE = "not in the baseline"
    UNDECIDED = "undecided"
    NEW = "new"
    NOT_JUDGED = "not judged"


FAILURES = frozenset({Answer.REGRESSION, Answer.MISSING, Answer.NOT_IN_BASELINE})
OPEN = frozenset({Answer.UNDECIDED, Answer.NOT_JUDGED})
SIGNS = {Answer.HOLDS: "✓", Answer.UNDECIDED: "?", Answer.NOT_JUDGED: "·", Answer.NEW: "+"}  # else ✗


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One thing compared: its name and setup, both sides in words, the difference, and the answer with its reason.

    The difference of quality is candidate minus baseline; that of speed is candidate over baseline. `limit` is of the
    same kind, `interval` belongs to it.
    """

    section: Literal["quality", "speed", "claims"]
    name: str
    measure: str = ""
    setup: str = ""
    answer: Answer
    why: str
    baseline: str = ""
    candidate: str = ""
    difference: float | None = None
    interval: tuple[float, float] | None = None
    limit: float | None = None

    @property
    def plain(self) -> Comparison:
        """The same with whatever a terminal or a page would obey as escapes."""
        texts: dict[str, Any] = {
            name: printable(value.replace("\n", " ")) for name, value in vars(self).items() if type(value) is str
        }
        return replace(self, **texts)

    @property
    def what(self) -> str:
        """Its name, and of a classifier the measure."""
        return f"{self.name} {self.measure}" if self.section == "quality" else self.name

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row under COLUMNS."""
        difference = "" if self.difference is None else self.amount(self.difference)
        if self.interval is not None:
            difference += f" [{', '.join(self.amount(end).lstrip('× ') for end in self.interval)}]"
        return self.what, self.baseline, self.candidate, difference, f"{SIGNS.get(self.answer, '✗')} {self.answer}"

    def amount(self, value: float) -> str:
        """Return a difference or limit in its section's unit."""
        return f"× {value:.2f}" if self.section == "speed" else f"{value:+.4f}"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the user names: `only` is compared, `new` may be absent from the baseline; NAME or BEGINNING*."""

    only: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    def includes(self, name: str) -> bool:
        """Tell whether something of this name is to be compared."""
        return not self.only or matches(name, self.only)

    def absent(self, side: str, **named: Any) -> Comparison:
        """Return the comparison of what one side, `baseline` or `candidate`, lacks."""
        answer = Answer.MISSING
        if side == "baseline":
            answer = Answer.NEW if matches(named["name"], self.new) else Answer.NOT_IN_BASELINE
        return Comparison(answer=answer, why=f"the {side} lacks it", **named)

    def check(self, known: Iterable[str]) -> None:
        """Refuse a pattern that matches nothing; UsageError names the nearest."""
        names = list(dict.fromkeys(known))
        for pattern in (*self.only, *self.new):
            if not any(matches(name, [pattern]) for name in names):
                raise unknown("name", pattern, names)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a pattern is the name, or its beginning where the pattern ends in `*`."""
    return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


def exit_code(comparisons: Sequence[Comparison], *, strict: bool = False) -> int:
    """Return 1 where something fails (strictly: or is undecided), 6 where nothing could be judged, else 0."""
    answers = {comparison.answer for comparison in comparisons}
    if answers & FAILURES or (strict and Answer.UNDECIDED in answers):
        return 1
    return 6 if answers <= {Answer.NOT_JUDGED, Answer.NEW} else 0


def conclusion(comparisons: Sequence[Comparison], code: int) -> str:
    """Return the whole in one line: the exit code in words, and how many of each answer."""
    counts = Counter(c.answer for c in comparisons)
    shown = (f"{counts[a]} {'hold' if a is Answer.HOLDS else a}" for a in Answer if counts[a])
    return f"{CONCLUSIONS[code]}: {', '.join(shown)}"


def grouped(comparisons: Sequence[Comparison]) -> list[tuple[str, Table]]:
    """Return a title with the limit, and a table, for each section and setup; claims that hold are only counted."""
    tables = []
    for (section, setup), group in groupby(_worth_a_row(comparisons), key=lambda c: (c.section, c.setup)):
        members = list(group)
        limit = next((f" (limit {c.amount(c.limit)})" for c in members if c.limit is not None), "")
        tables.append((f"{section}{limit}{setup and ': '}{setup}", Table(COLUMNS, tuple(c.cells for c in members))))
    return tables


def reasons(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line for each reason why something does not hold, with what it is said of: the first MOST_NAMED."""
    by_reason: dict[tuple[str, str], dict[str, None]] = {}
    for c in (c.plain for c in comparisons if c.answer is not Answer.HOLDS):
        by_reason.setdefault((SIGNS.get(c.answer, "✗"), c.why), {})[c.what] = None
    lines = []
    for (sign, why), names in by_reason.items():
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        lines.append(f"{sign} {why}: {'; '.join(list(names)[:MOST_NAMED])}{more}")
    return lines


def to_markdown(comparisons: Sequence[Comparison], code: int, notes: Sequence[str]) -> str:
    """Return a step summary: what fails first, then what is open, and what holds folded away."""
    head, shown = ("section", "setup", *COLUMNS, "why"), _worth_a_row(comparisons)
    tables = [
        Table(head, tuple((c.section, c.setup, *c.cells, c.why) for c in shown if c.answer in answers))
        for answers in (FAILURES, {*Answer} - FAILURES - {Answer.HOLDS}, {Answer.HOLDS})
    ]
    return _filled("summary.md", title=conclusion(comparisons, code), tables=tables, notes=map(printable, notes))


def to_junit(comparisons: Sequence[Comparison]) -> bytes:
    """Return the comparisons as JUnit XML, a test case each; what is open or not judged is skipped."""
    cases = [c.plain for c in comparisons]
    return _filled("junit.xml", cases=cases, failures=FAILURES, open=OPEN).encode()


def _filled(template: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("repro.regression", ".")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(values)


def to_data(comparisons: Sequence[Comparison], code: int, notes: Sequence[str]) -> dict[str, Any]:
    """Return the comparisons as they go into JSON."""
    rows = [{**vars(c), "answer": str(c.answer)} for c in comparisons]
    return {"exit_code": code, "conclusion": conclusion(comparisons, code), "notes": list(notes), "comparisons": rows}


def _worth_a_row(comparisons: Sequence[Comparison]) -> list[Comparison]:
    shown = (c.plain for c in comparisons if c.section != "claims" or c.answer is not Answer.HOLDS)
    return sorted(shown, key=lambda c: (("quality", "speed", "claims").index(c.section), c.setup))
