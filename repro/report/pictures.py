"""The figures of the report: one for what the seeds of a section repeat, of the runs that the verdicts rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from repro.benchfiles import Benchmark
from repro.claims.catalogue import Catalogue
from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.judge import Verdict
from repro.display.figure import Drawing
from repro.records.schema import RunRecord
from repro.report.costs import cost_drawings, costs_of
from repro.report.epochs import epoch_drawing
from repro.report.inline import Picture, save_picture
from repro.report.ratios import growth_drawing, ratio_drawings
from repro.report.reruns import rerun_drawing
from repro.report.tables import headlined
from repro.sections import SECTIONS, section_named

MEASUREMENTS = "Measurements"  # the heading of figures that belong to no section


def draw_pictures(
    catalogue: Catalogue,
    verdicts: Sequence[Verdict],
    records: Sequence[RunRecord],
    timings: Sequence[Benchmark],
    folder: Path,
) -> list[Picture]:
    """Save every figure of the report as SVG, the same bytes each time, in the order of the sections."""
    drawn = [*_of_sections(catalogue, verdicts, records), *_of_measurements(records, timings)]
    return [save_picture(drawing, heading, folder) for heading, drawing in drawn if drawing]


def shown_cohorts(catalogue: Catalogue, records: Sequence[RunRecord]) -> dict[str, Cohort]:
    """Return by experiment the runs that are shown: those of the catalogue's recipe first, then the newest."""
    cohorts = sorted(cohorts_of(records), key=lambda c: (c.setup.recipe == catalogue.recipe, c.newest))
    return {cohort.experiment: cohort for cohort in cohorts}


def _of_sections(
    catalogue: Catalogue, verdicts: Sequence[Verdict], records: Sequence[RunRecord]
) -> Iterator[tuple[str, Drawing | None]]:
    cohorts = shown_cohorts(catalogue, records)
    headline = headlined(catalogue, verdicts)
    for section in map(section_named, SECTIONS):
        cohort = cohorts.get(section.name)
        if cohort:
            yield from ((section.heading, drawing) for drawing in section.figures(cohort))
        if section.name == "finetune":
            yield section.heading, epoch_drawing(verdicts, catalogue)
            if headline:
                yield headline.claim.section, rerun_drawing(catalogue, headline)


def _of_measurements(
    records: Sequence[RunRecord], timings: Sequence[Benchmark]
) -> Iterator[tuple[str, Drawing | None]]:
    for drawing in (*ratio_drawings(timings), growth_drawing(timings), *cost_drawings(costs_of(records))):
        yield MEASUREMENTS, drawing
