"""Pages from records: REPORT.md, report.html and the verdict table in the README."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from repro.claims.verdicts import Verdict
from repro.errors import ResultsError
from repro.records.record import RunRecord
from repro.report import tables
from repro.report.sections import seminar_tables
from repro.report.tables import Table

BEGIN, END = "<!-- verdicts: begin -->", "<!-- verdicts: end -->"


def table_files(verdicts: Sequence[Verdict], records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return every table of the report by its file name."""
    return {
        "verdicts": tables.verdict_table(verdicts),
        "scores": tables.score_table(records),
        "timings": tables.timing_table(records),
        "environment": tables.environment_table(records),
        **seminar_tables(records),
    }


def write_report(verdicts: Sequence[Verdict], records: Sequence[RunRecord], results: Path) -> list[Path]:
    """Write tables, figures, REPORT.md and report.html into the results folder; return what was written."""
    from repro.report.figures import draw_figures

    try:
        made = table_files(verdicts, records)
        written = [_write(results / "tables" / f"{name}.csv", table.to_csv()) for name, table in made.items()]
        figures = draw_figures(records, results / "figures")
        written += figures
        written.append(_write(results / "REPORT.md", report_markdown(verdicts, records, [f.stem for f in figures])))
        written.append(_write(results / "report.html", _render("report.html", verdicts, records, _embedded(figures))))
    except OSError as error:
        raise ResultsError(
            f"cannot write the report into {results}: {error.strerror or error}",
            "Name a folder you may write to with --results; the records are untouched.",
        ) from None
    return written


def report_markdown(verdicts: Sequence[Verdict], records: Sequence[RunRecord], figures: Sequence[str]) -> str:
    """Return REPORT.md: verdicts first, then environment, timings, scores and figures (names without suffix)."""
    return _render("REPORT.md", verdicts, records, [{"name": name} for name in figures])


def update_readme(readme: Path, verdicts: Sequence[Verdict], records: Sequence[RunRecord]) -> None:
    """Put the verdict table between the README's two marks."""
    try:
        text = readme.read_text(encoding="utf-8")
        _write(readme, with_verdicts(text, verdicts, records))
    except OSError as error:
        raise ResultsError(f"cannot update {readme}: {error.strerror or error}", "Name the README to update.") from None


def with_verdicts(text: str, verdicts: Sequence[Verdict], records: Sequence[RunRecord]) -> str:
    """Return the README's text with its verdict block made anew; ResultsError where a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ResultsError("the README has no place for the verdicts", f"Put the lines {BEGIN} and {END} into it.")
    return f"{before}{BEGIN}\n{_render('readme_verdicts.md', verdicts, records, [])}{END}{after}"


def _render(template: str, verdicts: Sequence[Verdict], records: Sequence[RunRecord], figures: list[Any]) -> str:
    environment = Environment(
        loader=PackageLoader("repro.report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    sections = [(name, list(found)) for name, found in groupby(verdicts, key=lambda v: v.claim.section)]
    return environment.get_template(template).render(
        sections=sections,
        counts=tables.outcome_counts(verdicts),
        signs=tables.SIGNS,
        tables=table_files(verdicts, records),
        short=tables.short_verdict_table(verdicts),
        verdict_table=tables.verdict_table,
        environment={row[0]: row[1] for row in tables.environment_table(records).rows},
        figures=figures,
        records=len(records),
    )


def _embedded(figures: Sequence[Path]) -> list[dict[str, str]]:
    return [{"name": f.stem, "png": base64.b64encode(f.read_bytes()).decode()} for f in figures]


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
    return path
