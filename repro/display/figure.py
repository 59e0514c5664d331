"""What all figures share: a white ground for light and dark pages, a caption, the same bytes for the same record."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from repro.records.record import RunRecord

INK = "#1a1a1a"
ALL_OF, FEW = 10, 1  # seeds of a way of running that are drawn one by one; hundreds of figures nobody looks through
BARS = "#1f5a93"  # dark enough on white, and one colour alone: no kind of sight has to tell two apart


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with its file name (no suffix), its caption and, for those who do not see it, what it shows."""

    name: str
    figure: Figure
    title: str
    description: str


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save_figure(drawing: Drawing, figures: Path) -> Path:
    """Save as SVG and PNG and return the PNG; title and description go into the SVG, for pages and screen readers."""
    figures.mkdir(parents=True, exist_ok=True)
    salted: Any = {"svg.hashsalt": "repro", "svg.fonttype": "none"}  # no salt, and every save draws new ids
    with mpl.rc_context(salted), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # an emoji becomes a box and no failure
        said = {"Title": drawing.title, "Description": drawing.description, "Date": None}
        for suffix, options in ((".svg", {"metadata": said}), (".png", {"dpi": 120, "metadata": {"Software": None}})):
            partial = figures / f".{drawing.name}.partial{suffix}"
            drawing.figure.savefig(partial, **options)
            partial.replace(figures / f"{drawing.name}{suffix}")  # whole or not at all, and through no link
            drawing.figure.set_layout_engine(None)  # it is laid out, and a second time would cost as much
    return figures / f"{drawing.name}.png"


def newest_runs(records: Sequence[RunRecord], experiment: str) -> list[RunRecord]:
    """Return the newest record of each way of running and seed: all of up to ALL_OF seeds, the first FEW of more."""
    found = {(way_of(r), r.settings.seed): r for r in records if r.experiment == experiment}
    seeds: dict[str, list[int]] = {}
    for way, seed in found:
        seeds.setdefault(way, []).append(seed)
    shown = {way: sorted(all_of)[: FEW if len(all_of) > ALL_OF else None] for way, all_of in seeds.items()}
    return [record for (way, seed), record in found.items() if seed in shown[way]]


def way_of(record: RunRecord) -> str:
    """Return how a record was run, as a part of a file's name: what differs between two figures of one corpus."""
    settings = record.settings
    way = f"{record.corpus.name}-{record.recipe.name}-{settings.precision}-{settings.batching}"
    if settings.protocol != "seeded":
        way += f"-{settings.protocol}"
    return way + (f"-first-{settings.limit}" if settings.limit else "")


def caption_of(record: RunRecord, *, seeded: bool) -> str:
    """Return recipe, corpus and way of running in words."""
    settings = record.settings
    seed = f", seed {settings.seed}" if seeded else ""
    limited = f", first {settings.limit} rows" if settings.limit else ""
    drawn = "" if settings.protocol == "seeded" else f", {settings.protocol}"
    return (
        f"{record.recipe.name} on {record.corpus.name}{limited}{seed}, {settings.precision}, {settings.batching}{drawn}"
    )


def corpus_caption_of(record: RunRecord) -> str:
    """Return the corpus alone, for what no recipe changes."""
    limited = f", first {record.settings.limit} rows" if record.settings.limit else ""
    return f"training split of {record.corpus.name}{limited}"
