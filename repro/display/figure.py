"""What all figures share: a white ground for light and dark pages, a caption, the same bytes for the same record."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.records.durable import write_whole
from repro.spec import RunSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SECOND = "#1a1a1a", "#c2571a"  # SECOND beside BARS: marks and signs tell the two apart too
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
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def bars(values: Mapping[str, float], written: Sequence[str], *, across: bool = False) -> tuple[Figure, Axes]:
    """Draw a bar a name, upright or `across`, with its value as it is `written`; names show as they are."""
    figure, (axes,) = panels(5.9, 3.4)
    places = range(len(values))
    drawn = (axes.barh if across else axes.bar)(places, list(values.values()), color=BARS)
    axes.bar_label(drawn, written, padding=3, fontsize=9)
    (axes.set_yticks if across else axes.set_xticks)(places, list(values), parse_math=False)
    return figure, axes


def panels(width: float, height: float, n: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of that size in inches and its axes side by side, with text of 9 points: 12 pixels on a page."""
    figure = new_figure(width, height)
    row: list[Axes] = list(figure.subplots(1, n, squeeze=False)[0])
    for axes in row:
        axes.tick_params(labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, row


def save_figure(drawing: Drawing, folder: Path) -> Path:
    """Save as SVG and return its path; title and description go into it, for pages and screen readers."""
    import matplotlib as mpl

    svg = BytesIO()
    fixed_ids: Any = {"svg.hashsalt": "repro", "svg.fonttype": "none"}  # without a salt each save draws new ids
    with mpl.rc_context(fixed_ids), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # an emoji becomes a box and no failure
        metadata = {"Title": drawing.title, "Description": drawing.description, "Date": None}
        drawing.figure.savefig(svg, format="svg", metadata=metadata)
    return write_whole(folder / f"{drawing.name}.svg", svg.getvalue())


def caption_of(spec: RunSpec, *, seeded: bool = True) -> str:
    """Return how a record was run, in words, for a figure's caption."""
    return f"{spec.label}, seed {spec.seed}" if seeded else spec.label
