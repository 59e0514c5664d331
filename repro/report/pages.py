"""Everything the report command writes: tables, figures, REPORT.md, report.html and the README's verdict table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from repro.benchfiles import Benchmark
from repro.claims.cohorts import cohorts_of
from repro.claims.judge import Judged
from repro.display import Drawing, Table
from repro.errors import RecordError, ResultsError
from repro.records.durable import write_whole
from repro.records.schema import RunRecord
from repro.records.store import inside, name_of, newest_runs
from repro.report import tables
from repro.report.costs import Costs, cost_drawings, cost_table, costs_of
from repro.report.reruns import rerun_drawings, rerun_table
from repro.report.timings import growth_drawings, ratio_drawings, read_timings, speed_tables
from repro.report.webpage import Picture, render, report_html, save_picture, strips
from repro.sections import SECTIONS, section_named
from repro.spec import RunSpec

BEGIN, END = "<!-- verdicts: begin -->", "<!-- verdicts: end -->"
MEASUREMENTS = "Measurements"  # the heading of figures that belong to no section


def write_report(judged: Judged, results: Path, readme: Path | None = None) -> list[Path]:
    """Write tables, figures, REPORT.md and report.html into the results folder; return what was written.

    The verdict table also goes between the two marks of a README, if one is named.
    """
    catalogue, verdicts, records = judged
    timings, compared, by_name = read_timings(results), costs_of(records), dict[str, Table]()
    for section in map(section_named, SECTIONS):
        by_name |= section.tables(newest_runs(records, section.name))
    by_name |= {"reruns": rerun_table(catalogue), "costs": cost_table(compared), **speed_tables(timings)}
    measured = _measured_tables(results)
    of_records = tables.record_tables(records, measured.pop("history", None))
    report_tables = {"verdicts": tables.verdict_table(verdicts), **of_records}
    report_tables |= {name: table for name, table in by_name.items() if table.rows}
    try:
        folder, figures = (inside(results, results / name) for name in ("tables", "figures"))
        written = [
            write_whole(folder / f"{name}.csv", table.to_csv().encode()) for name, table in report_tables.items()
        ]
        drawings = _drawings(judged, timings, compared)
        pictures = [save_picture(drawing, heading, figures) for heading, drawing in drawings]
        written += [figures / f"{picture.name}.svg" for picture in pictures]
        for left_over in set(figures.glob("*.svg")) - set(written):
            left_over.unlink()
        report_tables |= measured | {"scores": tables.seed_scores(records)}
        values = values_of(judged, report_tables, pictures, record_files(results, judged))
        written.append(write_whole(results / "REPORT.md", render("REPORT.md", **values).encode()))
        written.append(write_whole(results / "report.html", report_html(values).encode()))
    except OSError as error:
        raise ResultsError(
            f"cannot write the report into {results}: {error.strerror or error}",
            "Name a folder you may write to with --results; the records are untouched.",
        ) from None
    return [*written, update_readme(readme, values)] if readme else written


def _drawings(judged: Judged, timings: Sequence[Benchmark], compared: Sequence[Costs]) -> Iterator[tuple[str, Drawing]]:
    """Yield every figure of the report with the heading that it stands under, in the order of the sections."""
    catalogue, verdicts, records = judged
    # of each section the runs of the catalogue's recipe if there are any, and of those the newest
    shown = sorted(cohorts_of(records), key=lambda cohort: cohort.setup.recipe == catalogue.recipe)
    cohorts = {cohort.experiment: cohort for cohort in shown}
    for section in map(section_named, SECTIONS):
        if section.name in cohorts:
            yield from ((section.heading, drawing) for drawing in section.figures(cohorts[section.name]))
    yield from rerun_drawings(catalogue, verdicts)
    for drawing in (*ratio_drawings(timings), *growth_drawings(timings), *cost_drawings(compared)):
        yield MEASUREMENTS, drawing


def record_files(results: Path, judged: Judged) -> dict[str, str]:
    """Return by claim where the newest record of its verdict lies, as seen from the results folder."""
    newest = {(r.experiment, r.spec.setup.label): r for r in judged.records}
    files: dict[str, str] = {}
    for verdict in judged.verdicts:
        if record := newest.get((verdict.claim.experiment, verdict.basis)):
            named = (results / "runs" / record.folder).glob(f"{name_of(record)}-*.json")
            files.update((verdict.claim.id, path.relative_to(results).as_posix()) for path in named)
    return files


def _measured_tables(results: Path) -> dict[str, Table]:
    """Return the tables that stand beside the records, and the history of superseded ones.

    RecordError names one that cannot be read.
    """
    by_name: dict[str, Table] = {}
    for name, note in {**tables.MEASURED, "history": ""}.items():
        path = results / f"{name}.csv"
        if not path.exists():
            continue
        try:
            by_name[name] = Table.from_csv(path.read_text(encoding="utf-8"), note)
        except (OSError, ValueError, csv.Error) as error:
            why = getattr(error, "strerror", None) or error
            raise RecordError(f"{path} is no table: {why}", "Restore the file, or move it out of the folder.") from None
    return by_name


def values_of(
    judged: Judged, report_tables: Mapping[str, Table], pictures: Sequence[Picture], record_files: Mapping[str, str]
) -> dict[str, Any]:
    """Return what all forms of the report are made of, by its name in the templates.

    `record_files` says by claim where the record behind its verdict lies, as seen from the page.
    """
    catalogue, verdicts, records = judged
    return {
        "texts": catalogue.texts,
        "needs": catalogue.needs,
        "answers": tables.answers(catalogue, verdicts),
        "answer": tables.answer_table(verdicts),
        "headlined": tables.headlined(catalogue, verdicts),
        "attention": [v for v in verdicts if v.outcome in tables.EXPLAINED],
        "verdicts": verdicts,
        "sections": list(dict.fromkeys(v.claim.section for v in verdicts)),
        "counts_of": tables.outcome_counts,
        "about": tables,
        "strips": partial(strips, catalogue),
        "pictures": pictures,
        "measurements": MEASUREMENTS,
        "record_files": record_files,
        "tables": report_tables,
        "commands": commands(records),
        "commits": list(dict.fromkeys(r.provenance.commit for r in records if r.provenance.commit)),
        "records": len(records),
    }


def commands(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return (what it ran, command) of every setup, in the records' order."""
    by_setup: dict[RunSpec, list[RunSpec]] = {}
    for spec in (r.spec for r in records if r.experiment != "published"):  # it runs with any recipe: the book's model
        by_setup.setdefault(spec.setup, []).append(spec)
    return [
        (setup.label, setup.command(list(dict.fromkeys(s.section for s in specs)), {s.seed for s in specs}))
        for setup, specs in by_setup.items()
    ]


def update_readme(readme: Path, values: Mapping[str, Any]) -> Path:
    """Put the verdict table between the README's two marks; ResultsError where it lacks them."""
    try:
        before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise ResultsError("the README has no place for the verdicts", f"Put the lines {BEGIN} and {END} into it.")
        block = render("readme_verdicts.md", **values)
        return write_whole(readme, f"{before}{BEGIN}\n{block}{END}{after}".encode())
    except OSError as error:
        raise ResultsError(f"cannot update {readme}: {error.strerror or error}", "Name the README to update.") from None
