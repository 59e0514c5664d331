"""What all figures share: a white ground for light and dark pages, a caption, the same bytes for the same record."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.spec import RunSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIDDLE = 0.5  # of the ramp: on its light half the writing is black
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
    figure, axes = plain_axes(5.9, 3.4)
    places = range(len(values))
    drawn = (axes.barh if across else axes.bar)(places, list(values.values()), color=BARS)
    axes.bar_label(drawn, written, padding=3, fontsize=9)
    (axes.set_yticks if across else axes.set_xticks)(places, list(values), parse_math=False)
    return figure, axes


def matrix(
    axes: Axes, shares: Sequence[Sequence[float]], labels: Sequence[str], cells: Sequence[Sequence[str]]
) -> None:
    """Draw shares from 0 to 1 as shades, true class a row, with a text in each cell."""
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)  # one lightness ramp, the same for every kind of sight
    for i, row in enumerate(shares):
        for j, share in enumerate(row):
            shade = "black" if share > MIDDLE else "white"
            axes.text(j, i, cells[i][j], ha="center", va="center", color=shade, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true")


def plain_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of that size in inches and its one pair of axes, without a frame above and to the right."""
    figure = new_figure(width, height)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_figure(drawing: Drawing, folder: Path) -> Path:
    """Save as SVG and return its path; title and description go into it, for pages and screen readers."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    path, partial = folder / f"{drawing.name}.svg", folder / f".{drawing.name}.partial"
    fixed_ids: Any = {"svg.hashsalt": "repro", "svg.fonttype": "none"}  # without a salt each save draws new ids
    with mpl.rc_context(fixed_ids), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # an emoji becomes a box and no failure
        metadata = {"Title": drawing.title, "Description": drawing.description, "Date": None}
        drawing.figure.savefig(partial, format="svg", metadata=metadata)
    partial.replace(path)  # whole or not at all, and through no link
    return path


def caption_of(spec: RunSpec, *, seeded: bool = True) -> str:
    """Return how a record was run, in words, for a figure's caption."""
    return f"{spec.label}, seed {spec.seed}" if seeded else spec.label
