"""Options that several commands have, and how a table reaches the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from repro.spec import choice

Results = Annotated[
    Path, typer.Option("--results", envvar="REPRO_RESULTS", help="Folder of records, tables and figures.")
]
CatalogueName = Annotated[
    str, typer.Option("--catalogue", help="seminar, minilm or rehearsal, or a folder of your own claims.")
]
RecipeName = Annotated[str, typer.Option("--recipe", help="distilbert, minilm or tiny.")]
CorpusSource = Annotated[
    str, typer.Option("--corpus", envvar="REPRO_CORPUS", help="A folder, `hub`, or `rehearsal` (built in).")
]
Checkpoints = Annotated[
    Path | None, typer.Option("--checkpoints", envvar="REPRO_CHECKPOINTS", help="A folder of checkpoints.")
]


def choose(kind: type[StrEnum], help: str) -> Any:  # noqa: A002 (typer's name)
    """Return an option that takes one of the values; an unknown one is answered with the nearest."""
    return typer.Option(parser=lambda text: choice(kind, text), metavar="|".join(kind), help=help)


def plain(text: str) -> str:
    """Return the text so that rich shows its brackets."""
    return text.replace("[", r"\[")


def write_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], markup_column: int | None = None) -> None:
    """Write rows under a head; only `markup_column` may hold rich's markup."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in head), show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*(cell if i == markup_column else plain(cell) for i, cell in enumerate(row)))
    console = Console()
    # piped into a file or CI there is no width to fit: a line a claim is easier to search
    console = console if console.is_terminal else Console(width=240)
    console.print(table)
