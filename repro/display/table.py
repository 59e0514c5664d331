"""A table: rows of text once, written as CSV for programs and Markdown for people."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Named columns and rows of text, oldest records first; a note says what made them, where no record does."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def newest(self, rows: int, whole: str) -> Table:
        """Return the last `rows` rows under a line that says where the whole table is, or the table if it is short."""
        left_out = len(self.rows) - rows
        if left_out <= 0:
            return self
        pointer = (f"… {left_out:,} earlier rows: {whole}", *("" for _ in self.columns[1:]))
        return Table(self.columns, (pointer, *self.rows[-rows:]), self.note)

    def to_csv(self) -> str:
        """Return the table as CSV with a head."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return out.getvalue()

    def to_markdown(self) -> str:
        """Return the table as Markdown; whatever a cell holds shows as text."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "".join(f"| {' | '.join(as_text(cell) for cell in line)} |\n" for line in lines)


def as_text(cell: str) -> str:
    """Return the text as Markdown that shows it and does nothing else."""
    text = cell.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")
    for mark in "[]*_`":
        text = text.replace(mark, "\\" + mark)
    return text
