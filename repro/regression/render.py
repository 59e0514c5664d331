"""A comparison's findings for people, CI and programs: tables for the terminal, Markdown, JUnit XML, JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

from repro.benchfiles import newest_of_both
from repro.display.table import Table
from repro.records.private import without_private_parts
from repro.regression.findings import FAILURES, OPEN, Finding, Ruling
from repro.regression.sources import Source

SIGNS = {
    **dict.fromkeys(FAILURES, "✗"),
    Ruling.HOLDS: "✓",
    Ruling.UNDECIDED: "?",
    Ruling.NOT_JUDGED: "·",
    Ruling.NOT_COMPARABLE: "≠",
    Ruling.NEW: "+",
}
COLUMNS = ("what", "baseline", "candidate", "difference", "limit", "verdict")
HEADS = {
    "quality": ("what", "baseline (seeds)", "candidate (seeds)", "difference [95 %]", "verdict"),
    "speed": ("what", "baseline (rounds)", "candidate (rounds)", "ratio [90 %]", "verdict"),
    "claims": ("what", "baseline", "candidate", "", "verdict"),
}
CONCLUSIONS = {0: "no regression", 1: "regression", 2: "not all could be compared"}


def grouped(findings: Sequence[Finding]) -> list[tuple[str, Table]]:
    """Return a title, which tells the limit, and a table for each section and way of running.

    Claims that hold are left to the count.
    """
    found = []
    for (section, basis), group in groupby(_worth_a_row(findings), key=lambda f: (f.section, f.basis)):
        rows = [_row(f) for f in group]
        limit = next((f" (limit {row[4]})" for row in rows if row[4]), "")
        table = Table(HEADS[section], tuple((*row[:4], row[5]) for row in rows))
        found.append((shown(f"{section}{limit}: {basis}" if basis else f"{section}{limit}"), table))
    return found


def remarks(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each reason why something does not hold, with all that it is said of."""
    told: dict[tuple[Ruling, str], dict[str, None]] = {}
    for f in findings:
        if f.ruling is not Ruling.HOLDS:
            told.setdefault((f.ruling, f.why), {})[_what(f)] = None
    return [shown(f"{SIGNS[ruling]} {why}: {'; '.join(of)}") for (ruling, why), of in told.items()]


def conclusion(findings: Sequence[Finding], code: int) -> str:
    """Return the whole in one line: the exit code in words, and how many findings of each ruling."""
    counts = Counter(f.ruling for f in findings)
    return f"{CONCLUSIONS[code]}: " + ", ".join(
        f"{counts[ruling]} {'hold' if ruling is Ruling.HOLDS else ruling}" for ruling in Ruling if counts[ruling]
    )


def side_table(before: Source, after: Source, ignore: frozenset[str]) -> Table:
    """One row a side: the end of its path, how many records it holds, and its benchmark files that count."""
    rows = []
    compared = newest_of_both(before.benchmarks, after.benchmarks, ignore)
    for side, source, found in zip(("baseline", "candidate"), (before, after), compared, strict=True):
        files = Counter(b.file.name for b in found.values())
        used = ", ".join(f"{name} ({count})" for name, count in sorted(files.items()))
        path = without_private_parts(str(source.path))  # CI shows it to everybody
        rows.append((side, shown(path), str(len(source.records)), shown(used) or "none"))
    return Table(("side", "path", "records", "newest benchmarks, by file"), tuple(rows))


def to_markdown(findings: Sequence[Finding], code: int, sides: Table) -> str:
    """Return the findings for a step summary."""
    rows = [(f.section, shown(f.basis), *_row(f), shown(f.why)) for f in _worth_a_row(findings)]
    table = Table(("section", "of", *COLUMNS, "why"), tuple(rows))
    return f"### repro regress: {conclusion(findings, code)}\n\n{table.to_markdown()}\n{sides.to_markdown()}\n"


def to_junit(findings: Sequence[Finding]) -> bytes:
    """Return the findings as JUnit XML, a test case each: what fails, an error (not comparable), what is skipped."""
    kinds = {**dict.fromkeys(FAILURES, "failure"), **dict.fromkeys(OPEN, "skipped"), Ruling.NOT_COMPARABLE: "error"}
    suite = ET.Element("testsuite", name="repro regress", tests=str(len(findings)))
    for name, of in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(kinds.get(f.ruling) == of for f in findings)))
    for f in findings:
        told = {"classname": shown(f"{f.section}: {f.basis}"), "name": shown(f"{f.names[0]}, {f.measure}")}
        case = ET.SubElement(suite, "testcase", told)
        text = shown("; ".join((f"{f.ruling}: {f.why}", *(cell for cell in _row(f)[1:-1] if cell))))
        if kind := kinds.get(f.ruling):
            ET.SubElement(case, kind, message=text)
        else:
            ET.SubElement(case, "system-out").text = text
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    document: str = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{document}\n'.encode()


def to_data(findings: Sequence[Finding], code: int, sides: Table) -> dict[str, Any]:
    """Return the findings as they go into JSON."""
    return {
        "exit_code": code,
        "conclusion": conclusion(findings, code),
        "sides": [dict(zip(("side", "path", "records", "benchmarks"), row, strict=True)) for row in sides.rows],
        "findings": [
            {
                "section": f.section, "name": f.names[0], "measure": f.measure, "of": f.basis, "baseline": f.baseline,
                "candidate": f.candidate, "difference": f.difference, "interval": f.interval, "limit": f.limit,
                "verdict": str(f.ruling), "why": f.why,
            }
            for f in findings
        ],
    }  # fmt: skip


def shown(text: str) -> str:
    """Return the text with whatever cannot be seen, control characters above all, as a replacement character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _worth_a_row(findings: Sequence[Finding]) -> list[Finding]:
    sections = ("quality", "speed", "claims")
    told = [f for f in findings if f.section != "claims" or f.ruling is not Ruling.HOLDS]
    return sorted(told, key=lambda f: (sections.index(f.section), f.basis))


def _row(f: Finding) -> tuple[str, ...]:
    return shown(_what(f)), f.baseline, f.candidate, *_difference(f), f"{SIGNS[f.ruling]} {f.ruling}"


def _what(f: Finding) -> str:
    short = f.names[-1]  # a benchmark's name without its file; other things have one name
    return f"{short} {f.measure}" if f.section == "quality" else short


def _difference(f: Finding) -> tuple[str, str]:
    form, sign = ("{:+.4f}", "") if f.section == "quality" else ("{:.2f}", "× ")
    limit = "" if f.limit is None else sign + form.format(f.limit)
    if f.difference is None or f.interval is None:
        return "", limit
    low, high = (form.format(bound) for bound in f.interval)
    return f"{sign}{form.format(f.difference)} [{low}, {high}]", limit
