"""What people see before it is put on a page or a terminal: values in words, tables and figures.

Imports nothing of ours, and matplotlib inside functions.
"""

from __future__ import annotations

import csv
import io
import re
import string
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SHOWN = 14  # elements of a list; the longest that a claim reports has 13
SHA256_LENGTH = 64
INK, SECOND = "#1a1a1a", "#c2571a"  # SECOND beside BARS: marks and signs tell the two apart too
BARS = "#1f5a93"  # dark enough on white, and one colour alone: no kind of sight has to tell two apart


def is_number(value: Any) -> bool:
    """Tell whether the value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float) -> str:
    """Return a number with four decimals, whole numbers without and from five digits on with commas."""
    if abs(value) >= 10_000:  # noqa: PLR2004
        return f"{value:,.0f}"
    if float(value).is_integer():
        return str(int(value))
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.2g}"  # noqa: PLR2004


def brief(value: Any) -> str:
    """Return any value in short: a long list tells its length, a table its shape, a hash its beginning."""
    if isinstance(value, dict):
        return ", ".join(f"{k} [{brief(v)}]" if isinstance(v, list) else f"{k} {brief(v)}" for k, v in value.items())
    if isinstance(value, list):
        if value and all(isinstance(row, list) for row in value):
            return f"{len(value)} × {len(value[0])} table"
        shown = [str(item) if isinstance(item, int) else brief(item) for item in value]
        return ", ".join(shown) if len(value) <= MOST_SHOWN else f"{len(value)} values"
    if is_number(value):
        return number(value)
    text = str(value)
    return text[:12] + "…" if len(text) == SHA256_LENGTH and text.isalnum() else text


def plural(n: int, what: str) -> str:
    """Return a count with its noun: `1 run`, `3 runs`."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def p_value(p: float) -> str:
    """Return a p value as it stands behind a `p`: `= 0.0312` or `< 0.0001`."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}"  # noqa: PLR2004


@dataclass(frozen=True)
class Table:
    """Named columns and rows of text, oldest records first; a note says what made them, where no record does."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    @classmethod
    def of(cls, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]], note: str = "") -> Table:
        """Make a table of format strings by column and what they name, one mapping a row; None shows as nothing."""
        cells = columns.values()
        return cls(tuple(columns), tuple(tuple(_CELL.vformat(cell, (), row) for cell in cells) for row in rows), note)

    def __add__(self, other: Table) -> Table:
        return Table(self.columns, self.rows + other.rows, self.note or other.note)

    @classmethod
    def from_csv(cls, text: str, note: str = "") -> Table:
        """Read what `to_csv` writes; ValueError where it has no head."""
        rows = [tuple(row) for row in csv.reader(io.StringIO(text))]
        if not rows:
            raise ValueError("it has no head")
        return cls(rows[0], tuple(rows[1:]), note)

    def to_csv(self) -> str:
        """Return the table as CSV with a head."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.columns, *self.rows])
        return out.getvalue()

    def to_markdown(self) -> str:
        """Return the table as Markdown; whatever a cell holds shows as text."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "".join(f"| {' | '.join(map(as_text, line))} |\n" for line in lines)


class _Cell(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return ""
        if format_spec.endswith("g") and abs(value) >= 1_000:  # noqa: PLR2004
            format_spec = ",.0f"  # no power of ten, no decimal point at the end
        return ("yes" if value else "no") if isinstance(value, bool) else format(value, format_spec)


_CELL = _Cell()


def as_text(cell: str) -> str:
    """Return the text as Markdown that shows it and does nothing else."""
    return re.sub(r"[\[\]*_`|]", r"\\\g<0>", cell.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " "))


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with its file name (no suffix), its caption and, for those who do not see it, what it shows."""

    name: str
    figure: Figure
    title: str
    description: str

    def to_svg(self) -> str:
        """Return it as SVG, the same bytes each time; title and description are in it, for pages and screen readers."""
        import matplotlib as mpl

        svg = io.StringIO()
        for axes in self.figure.axes:
            axes.title.set_fontsize(9.5)
        fixed_ids: Any = {"svg.hashsalt": "repro", "svg.fonttype": "none"}  # without a salt each save draws new ids
        with mpl.rc_context(fixed_ids), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # an emoji becomes a box and no failure
            metadata = {"Title": self.title, "Description": self.description, "Date": None}
            self.figure.savefig(svg, format="svg", metadata=metadata)
        return svg.getvalue()


def panels(width: float, height: float, n: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a white figure of that size in inches and its axes side by side, with text of 9 points: 12 pixels."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        row: list[Axes] = list(figure.subplots(1, n, squeeze=False)[0])
    for axes in row:
        axes.tick_params(labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, row


def bars(values: Mapping[str, float], written: Sequence[str], *, across: bool = False) -> tuple[Figure, Axes]:
    """Draw a bar a name, upright or `across`, with its value as it is `written`; names show as they are."""
    figure, (axes,) = panels(5.9, 3.4)
    places = range(len(values))
    drawn = (axes.barh if across else axes.bar)(places, list(values.values()), color=BARS)
    axes.bar_label(drawn, written, padding=3, fontsize=9)
    (axes.set_yticks if across else axes.set_xticks)(places, list(values), parse_math=False)
    return figure, axes
