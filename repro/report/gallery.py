"""The figures of all sections, drawn from the records and made ready for a page that stands alone."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.display.figure import Drawing, save_figure
from repro.records.schema import RunRecord
from repro.records.store import newest_runs
from repro.sections import SECTIONS, section_named

BROAD_INCHES = 8.0  # half a page would make the writing of a wider one too small
MOST_SEEDS, OF_MORE = 10, 1  # drawn of each setup: all of up to ten seeds, the first of more


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure in a page that stands alone: `source` is a data URI; a `broad` one needs the page's whole width.

    `section` is the part of the claims' list that it belongs to.
    """

    name: str
    section: str
    caption: str
    alt: str
    source: str
    broad: bool = False


def draw_figures(records: Sequence[RunRecord], folder: Path) -> list[Picture]:
    """Draw what the records (oldest first) hold as SVG, the same bytes each time, in the order of the sections.

    Where several records give a figure of one name, the newest one's stays.
    """
    pictures: dict[str, Picture] = {}
    for section in map(section_named, SECTIONS):
        for record in _worth_drawing(newest_runs(records, section.name)):
            for drawing in section.figures(record):
                pictures[drawing.name] = save_picture(drawing, section.heading, folder)
    return list(pictures.values())


def save_picture(drawing: Drawing, heading: str, folder: Path) -> Picture:
    """Save a figure that belongs to a part of the claims' list, and return it for a page."""
    path = save_figure(drawing, folder)
    return Picture(
        name=drawing.name,
        section=heading,
        caption=drawing.title,
        alt=drawing.description,
        source=f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}",
        broad=float(drawing.figure.get_figwidth()) > BROAD_INCHES,
    )


def _worth_drawing(runs: Sequence[RunRecord]) -> list[RunRecord]:
    seeds: dict[object, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.spec.setup, []).append(run.settings.seed)
    shown = {setup: sorted(each)[: OF_MORE if len(each) > MOST_SEEDS else None] for setup, each in seeds.items()}
    return [run for run in runs if run.settings.seed in shown[run.spec.setup]]
