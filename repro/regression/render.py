"""Comparisons for people, CI and programs: tables for the terminal, Markdown, JUnit XML, JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

from repro.display.table import Table
from repro.regression.verdict import FAILURES, Answer, Comparison

SIGNS = {
    **dict.fromkeys(FAILURES, "✗"),
    Answer.HOLDS: "✓",
    Answer.UNDECIDED: "?",
    Answer.NOT_JUDGED: "·",
    Answer.NEW: "+",
}
COLUMNS = ("what", "baseline", "candidate", "difference [interval]", "answer")
MOST_NAMED = 12  # of those of which one reason is given
CONCLUSIONS = {0: "no regression", 1: "regression", 6: "nothing could be judged"}


def grouped(comparisons: Sequence[Comparison]) -> list[tuple[str, Table]]:
    """Return a title with the limit, and a table, for each section and setup; claims that hold are only counted."""
    tables = []
    for (section, setup), group in groupby(_worth_a_row(comparisons), key=lambda c: (c.section, c.setup)):
        members = list(group)
        limit = next((f" (limit {_amount(c, c.limit)})" for c in members if c.limit is not None), "")
        title = f"{section}{limit}: {setup}" if setup else f"{section}{limit}"
        tables.append((printable(title), Table(COLUMNS, tuple(_row(c) for c in members))))
    return tables


def reasons(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line for each reason why something does not hold, with what it is said of: the first MOST_NAMED."""
    by_reason: dict[tuple[Answer, str], dict[str, None]] = {}
    for c in comparisons:
        if c.answer is not Answer.HOLDS:
            by_reason.setdefault((c.answer, c.why), {})[_what(c)] = None
    lines = []
    for (answer, why), names in by_reason.items():
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        lines.append(printable(f"{SIGNS[answer]} {why}: {'; '.join(list(names)[:MOST_NAMED])}{more}"))
    return lines


def conclusion(comparisons: Sequence[Comparison], code: int) -> str:
    """Return the whole in one line: the exit code in words, and how many of each answer."""
    counts = Counter(c.answer for c in comparisons)
    return f"{CONCLUSIONS[code]}: " + ", ".join(
        f"{counts[answer]} {'hold' if answer is Answer.HOLDS else answer}" for answer in Answer if counts[answer]
    )


def to_markdown(comparisons: Sequence[Comparison], code: int, notes: Sequence[str]) -> str:
    """Return a step summary: what fails first, then what is open, and what holds folded away."""
    parts = [f"### repro regress: {conclusion(comparisons, code)}\n"]
    rows = [(c, (c.section, printable(c.setup), *_row(c), printable(c.why))) for c in _worth_a_row(comparisons)]
    head = ("section", "setup", *COLUMNS, "why")
    failing = tuple(row for c, row in rows if c.answer in FAILURES)
    others = tuple(row for c, row in rows if c.answer not in {*FAILURES, Answer.HOLDS})
    parts += [Table(head, chosen).to_markdown() for chosen in (failing, others) if chosen]
    if holding := tuple(row for c, row in rows if c.answer is Answer.HOLDS):
        folded = Table(head, holding).to_markdown()
        parts.append(f"<details><summary>{len(holding)} hold</summary>\n\n{folded}\n</details>\n")
    return "\n".join((*parts, *(f"- {printable(note)}" for note in notes), ""))


def to_junit(comparisons: Sequence[Comparison]) -> bytes:
    """Return the comparisons as JUnit XML, a test case each; what is open or not judged is skipped."""
    kinds = {
        **dict.fromkeys(FAILURES, "failure"), Answer.UNDECIDED: "skipped", Answer.NOT_JUDGED: "skipped",
    }  # fmt: skip
    suite = ET.Element("testsuite", name="repro regress", tests=str(len(comparisons)), errors="0")
    for name, kind in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(name, str(sum(kinds.get(c.answer) == kind for c in comparisons)))
    for c in comparisons:
        of = {"classname": printable(f"{c.section}: {c.setup}"), "name": printable(f"{c.name}, {c.measure}")}
        case = ET.SubElement(suite, "testcase", of)
        text = printable("; ".join((f"{c.answer}: {c.why}", *filter(None, _row(c)[1:-1]))))
        if (outcome := kinds.get(c.answer)) is not None:
            ET.SubElement(case, outcome, message=text)
        else:
            ET.SubElement(case, "system-out").text = text
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    document: str = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{document}\n'.encode()


def to_data(comparisons: Sequence[Comparison], code: int, notes: Sequence[str]) -> dict[str, Any]:
    """Return the comparisons as they go into JSON."""
    return {
        "exit_code": code,
        "conclusion": conclusion(comparisons, code),
        "notes": list(notes),
        "comparisons": [{**vars(c), "answer": str(c.answer)} for c in comparisons],
    }


def printable(text: str) -> str:
    """Return the text with whatever cannot be seen, control characters above all, as a replacement character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _worth_a_row(comparisons: Sequence[Comparison]) -> list[Comparison]:
    sections = ("quality", "speed", "claims")
    shown = [c for c in comparisons if c.section != "claims" or c.answer is not Answer.HOLDS]
    return sorted(shown, key=lambda c: (sections.index(c.section), c.setup))


def _row(c: Comparison) -> tuple[str, ...]:
    return printable(_what(c)), c.baseline, c.candidate, _difference(c), f"{SIGNS[c.answer]} {c.answer}"


def _what(c: Comparison) -> str:
    return f"{c.name} {c.measure}" if c.section == "quality" else c.name


def _difference(c: Comparison) -> str:
    if c.difference is None:
        return ""
    within = "" if c.interval is None else f" [{', '.join(_amount(c, end).lstrip('× ') for end in c.interval)}]"
    return f"{_amount(c, c.difference)}{within}"


def _amount(c: Comparison, value: float | None) -> str:
    return "" if value is None else f"× {value:.2f}" if c.section == "speed" else f"{value:+.4f}"
