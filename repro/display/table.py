"""A table: rows of text once, written as CSV for programs and Markdown for people."""

from __future__ import annotations

import csv
import io
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


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
        return ("yes" if value else "no") if isinstance(value, bool) else format(value, format_spec)


_CELL = _Cell()


def as_text(cell: str) -> str:
    """Return the text as Markdown that shows it and does nothing else."""
    text = cell.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")
    for mark in "[]*_`":
        text = text.replace(mark, "\\" + mark)
    return text
