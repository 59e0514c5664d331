"""Everything the report command writes: tables, figures, REPORT.md, report.html and the README's verdict table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from repro.benchfiles import Benchmark
from repro.claims.catalogue import Catalogue
from repro.claims.cohorts import cohorts_of
from repro.claims.judge import Verdict
from repro.display.figure import Drawing
from repro.display.table import Table
from repro.errors import RecordError, ResultsError
from repro.records.durable import write_whole
from repro.records.schema import RunRecord
from repro.records.store import inside, name_of
from repro.report import tables
from repro.report.costs import cost_drawings, cost_table, costs_of
from repro.report.inline import MEASUREMENTS, Picture, save_picture
from repro.report.reruns import epoch_drawing, rerun_drawing, rerun_table
from repro.report.timings import growth_drawing, ratio_drawings, read_timings, speed_tables
from repro.report.webpage import render, report_html, values_of
from repro.sections import SECTIONS, section_named

BEGIN, END = "<!-- verdicts: begin -->", "<!-- verdicts: end -->"


def write_report(
    catalogue: Catalogue, verdicts: Sequence[Verdict], records: Sequence[RunRecord], results: Path
) -> list[Path]:
    """Write tables, figures, REPORT.md and report.html into the results folder; return what was written."""
    timings, compared = read_timings(results), costs_of(records)
    report_tables = {
        "verdicts": tables.verdict_table(verdicts),
        **tables.record_tables(records, _measured_table(results, "history", "")),
        **_section_tables(records),
        **({"reruns": rerun_table(catalogue)} if catalogue.corroboration else {}),
        **({"costs": cost_table(compared)} if compared else {}),
        **speed_tables(timings),
        **_measured_tables(results),
    }
    try:
        folder = inside(results, results / "tables")
        drawn_up = {name: table for name, table in report_tables.items() if name not in tables.MEASURED}
        written = [write_whole(folder / f"{name}.csv", table.to_csv().encode()) for name, table in drawn_up.items()]
        figures = inside(results, results / "figures")
        shown = draw_pictures(catalogue, verdicts, records, timings, figures)
        written += [figures / f"{picture.name}.svg" for picture in shown]
        for left_over in set(figures.glob("*.svg")) - set(written):
            left_over.unlink()
        report_tables |= {"scores": tables.seed_scores(records)}
        files = record_files(results, verdicts, records)
        values = values_of(catalogue, verdicts, records, report_tables, shown, files)
        written.append(write_whole(results / "REPORT.md", render("REPORT.md", **values).encode()))
        written.append(write_whole(results / "report.html", report_html(values).encode()))
    except OSError as error:
        raise ResultsError(
            f"cannot write the report into {results}: {error.strerror or error}",
            "Name a folder you may write to with --results; the records are untouched.",
        ) from None
    return written


def draw_pictures(
    catalogue: Catalogue,
    verdicts: Sequence[Verdict],
    records: Sequence[RunRecord],
    timings: Sequence[Benchmark],
    folder: Path,
) -> list[Picture]:
    """Save every figure of the report as SVG, the same bytes each time, in the order of the sections."""
    measured = (*ratio_drawings(timings), growth_drawing(timings), *cost_drawings(costs_of(records)))
    drawn = [*_of_sections(catalogue, verdicts, records), *((MEASUREMENTS, drawing) for drawing in measured)]
    return [save_picture(drawing, heading, folder) for heading, drawing in drawn if drawing]


def _of_sections(
    catalogue: Catalogue, verdicts: Sequence[Verdict], records: Sequence[RunRecord]
) -> Iterator[tuple[str, Drawing | None]]:
    # of each section the runs of the catalogue's recipe if there are any, and of those the newest
    shown = sorted(cohorts_of(records), key=lambda cohort: cohort.setup.recipe == catalogue.recipe)
    cohorts = {cohort.experiment: cohort for cohort in shown}
    headline = tables.headlined(catalogue, verdicts)
    for section in map(section_named, SECTIONS):
        cohort = cohorts.get(section.name)
        if cohort:
            yield from ((section.heading, drawing) for drawing in section.figures(cohort))
        if section.name == "finetune":
            yield section.heading, epoch_drawing(verdicts, catalogue)
            if headline:
                yield headline.claim.section, rerun_drawing(catalogue, headline)


def record_files(results: Path, verdicts: Sequence[Verdict], records: Sequence[RunRecord]) -> dict[str, str]:
    """Return by claim where the newest record of its verdict lies, as seen from the results folder."""
    newest = {(r.experiment, r.spec.setup.label): r for r in records}
    files: dict[str, str] = {}
    for verdict in verdicts:
        if record := newest.get((verdict.claim.experiment, verdict.basis)):
            named = (results / "runs" / record.folder).glob(f"{name_of(record)}-*.json")
            files.update((verdict.claim.id, path.relative_to(results).as_posix()) for path in named)
    return files


def _measured_tables(results: Path) -> dict[str, Table]:
    """Return the tables that stand beside the records; RecordError names one that cannot be read."""
    read = {name: _measured_table(results, name, note) for name, note in tables.MEASURED.items()}
    return {name: table for name, table in read.items() if table}


def _measured_table(results: Path, name: str, note: str) -> Table | None:
    path = results / f"{name}.csv"
    if not path.exists():
        return None
    try:
        return Table.from_csv(path.read_text(encoding="utf-8"), note)
    except (OSError, ValueError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordError(f"{path} is no table: {why}", "Restore the file, or move it out of the folder.") from None


def _section_tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return by file name what the sections show besides verdicts and figures; a table without rows is left out."""
    by_name: dict[str, Table] = {}
    for section in map(section_named, SECTIONS):
        for name, table in section.tables(records).items():
            by_name[name] = by_name[name] + table if name in by_name else table
    return {name: table for name, table in by_name.items() if table.rows}


def update_readme(
    readme: Path, catalogue: Catalogue, verdicts: Sequence[Verdict], records: Sequence[RunRecord]
) -> None:
    """Put the verdict table between the README's two marks."""
    try:
        text = readme.read_text(encoding="utf-8")
        write_whole(readme, with_verdicts(text, catalogue, verdicts, records).encode())
    except OSError as error:
        raise ResultsError(f"cannot update {readme}: {error.strerror or error}", "Name the README to update.") from None


def with_verdicts(text: str, catalogue: Catalogue, verdicts: Sequence[Verdict], records: Sequence[RunRecord]) -> str:
    """Return the text with the verdict table between the marks; ResultsError where it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ResultsError("the README has no place for the verdicts", f"Put the lines {BEGIN} and {END} into it.")
    answer = tables.answer_table(verdicts)
    named = {outcome for outcome in tables.MEANINGS for row in answer.rows if outcome in row[-1]}
    block = render(
        "readme_verdicts.md",
        answers=tables.answers(catalogue, verdicts),
        counts=tables.outcome_counts(verdicts),
        records=len(records),
        environment={row[0]: row[1] for row in tables.environment_table(records).rows},
        answer=answer,
        named=named,
        meanings=tables.MEANINGS,
        changes=_section_tables(records).get("api", Table((), ())),
    )
    return f"{before}{BEGIN}\n{block}{END}{after}"
