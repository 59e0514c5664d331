"""`repro repair`, which writes a notebook with what today's libraries no longer take replaced."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.commands.options import write_table
from repro.errors import UsageError


def repair(
    notebook: Annotated[Path, typer.Argument(help="An .ipynb or its text export; it stays as it is.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .ipynb to write.")],
    drop_outputs: Annotated[bool, typer.Option("--drop-outputs", help="Leave out what the cells showed.")] = False,
) -> None:
    """Write the notebook repaired for the libraries of today; nothing is executed.

    Each broken call becomes what to write instead, with the reason above it. Exit code 0: written; 2: bad input.
    """
    from repro.notebooks.reading import EXPECTED, joined, notebook_of, read_text, require
    from repro.notebooks.repair import repaired

    if output.suffix != ".ipynb" or output.exists():
        raise UsageError(f"{output} exists already, or is no .ipynb", "Name a new file with -o OUT.ipynb.")
    require("nbformat")
    import nbformat

    data = notebook_of(read_text(notebook, EXPECTED), str(notebook))
    sources = [(str(cell.get("cell_type")), joined(cell.get("source"))) for cell in data["cells"]]
    rows = []
    number = 0
    for cell, (kind, _), fixed in zip(data["cells"], sources, repaired(sources), strict=True):
        number += kind == "code"
        if fixed.fixes:
            cell["source"] = fixed.source
        if drop_outputs and kind == "code":
            cell |= {"outputs": [], "execution_count": None}
        where = str(number) if kind == "code" else f"text after {number}"
        rows += [(where, fix.id, fix.since, fix.reason) for fix in fixed.fixes]
    try:
        text = nbformat.writes(nbformat.from_dict(data))
    except (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise UsageError(f"{notebook} is not laid out as Jupyter's format 4 says ({what})", EXPECTED) from None
    output.write_text(text + "\n", encoding="utf-8")
    write_table(("cell", "fix", "since", "reason"), rows)
    sys.stdout.write(f"{len(rows)} repairs in {output}; every other cell is as it was.\n")
