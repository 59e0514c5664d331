"""`repro audit` says of each cell of a notebook whether it still runs; `repro repair` writes it so that it does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.commands.options import AsJson, write_json, write_table
from repro.errors import UsageError

# the SHA-256 of the code cells of the notebooks that may be run without being asked for: the seminar's
COURSE = frozenset({"da6aa66fa9733378a51a9e27da401a6a2fc6cee32a6431efc1f83ffdf1c19cd3"})
CONTAINER = "It runs that code on this machine: in a container, unless you trust it (docker run --rm --network none …)."


def audit(
    notebook: Annotated[Path, typer.Argument(help="An .ipynb or its text export.")],
    execute: Annotated[bool, typer.Option("--execute", help="Run the code of a file that isn't the course's.")] = False,
    use: Annotated[
        list[str] | None, typer.Option(metavar="NAME=DIR", help="A folder in place of a Hub's name.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Load at most so many rows a split; 0: all.")] = 0,
    steps: Annotated[int, typer.Option(min=0, help="Train at most so many steps; 0: all.")] = 0,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds that a cell may take.")] = 600,
    memory: Annotated[float, typer.Option(min=1, help="GiB that the kernel may take.")] = 12,
    python: Annotated[Path | None, typer.Option(help="The interpreter of another environment.")] = None,
    repair: Annotated[bool, typer.Option("--repair/--no-repair", help="Run it again after the repair.")] = True,
    as_json: AsJson = False,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
) -> None:
    """Run a notebook cell by cell on the installed libraries, as it is written and after the repair.

    Executes the reader's code, in a kernel of its own and a temporary folder; lines for the shell, logins and pushes
    are left out. Exit code 0: no cell fails; 1: some fail as written; 2: bad input, or not executed.
    """
    from repro.notebooks.audit import audit_twice
    from repro.notebooks.kernel import Limits
    from repro.notebooks.reading import code_hash, read_notebook
    from repro.notebooks.repair import repaired

    cells = read_notebook(notebook)
    if not cells:
        raise UsageError(f"{notebook} has no code cells", "Name a notebook with code.")
    if not execute and code_hash(cells) not in COURSE:
        changed = repaired([("code", cell.source) for cell in cells])
        broken = [(str(number), fix.id, fix.reason) for number, cell in enumerate(changed, 1) for fix in cell.fixes]
        write_table(("cell", "broken", "why"), broken)
        raise UsageError(
            f"{notebook} is not the course's notebook, so that it was read and not run",
            f"Run it with --execute. {CONTAINER}",
        )
    limits = Limits(
        seconds=timeout, memory_bytes=int(memory * 2**30), rows=rows, steps=steps, uses=_uses(use or []),
        python=python or Path(sys.executable),
    )  # fmt: skip
    result = audit_twice(cells, limits, repair=repair, progress=lambda line: sys.stderr.write(f"{line}\n"))
    for path, text in ((junit, result.to_junit(notebook.name)), (csv, result.table().to_csv())):
        if path:
            path.write_text(text, encoding="utf-8")
    if as_json:
        write_json(result.as_row())
    else:
        write_table(result.table().columns, result.table().rows)
        sys.stdout.write(f"{result.sentence}\n")
    if any(cell.status.startswith("fails") for cell in result.as_written):
        raise typer.Exit(1)


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


def _uses(given: list[str]) -> dict[str, Path]:
    uses = {}
    for text in given:
        name, _, folder = text.partition("=")
        if not name or not folder:
            raise UsageError(f"--use {text}: expected NAME=DIR", "As in --use distilbert-base-uncased=models/minilm.")
        uses[name] = Path(folder)
    return uses
