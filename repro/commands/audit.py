"""`repro audit` says of each cell of a notebook whether it still runs; `repro repair` writes it so that it does."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from repro.commands.options import AsJson, option_groups, write_json, write_table
from repro.errors import UsageError
from repro.notebooks.kernel import Limits

# the SHA-256 of the code cells of the notebooks that may be run without being asked for: the seminar's
COURSE = frozenset({"da6aa66fa9733378a51a9e27da401a6a2fc6cee32a6431efc1f83ffdf1c19cd3"})
CONTAINER = "It runs that code on this machine: in a container, unless you trust it (docker run --rm --network none …)."
Notebook = Annotated[Path, typer.Argument(help="An .ipynb or its text export; it stays as it is.")]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is written."""

    as_json: AsJson = False
    csv: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit file.")] = None
    executed: Annotated[Path | None, typer.Option(help="Write the notebook as it ran last, with its outputs.")] = None


@option_groups
def audit(
    notebook: Notebook,
    *,
    execute: Annotated[bool, typer.Option("--execute", help="Run the code of a file that isn't the course's.")] = False,
    repair: Annotated[bool, typer.Option("--repair/--no-repair", help="Run it again after the repair.")] = True,
    limits: Limits,
    written: Written,
) -> None:
    """Run a notebook cell by cell on the installed libraries, as it is written and after the repair.

    Executes the reader's code, in a kernel of its own and a temporary folder; lines for the shell, logins and pushes
    are left out. Exit code 0: no cell fails; 1: some fail as written; 2: bad input, or not executed.
    """
    from repro.notebooks.audit import audit_twice
    from repro.notebooks.reading import cells_of, code_hash, load_notebook
    from repro.notebooks.repair import repaired, write_notebook

    content = load_notebook(notebook)
    cells = cells_of(content, str(notebook))
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
    result = audit_twice(cells, limits, repair=repair, progress=lambda line: sys.stderr.write(f"{line}\n"))
    if written.csv:
        written.csv.write_text(result.table().to_csv(), encoding="utf-8")
    if written.junit:
        written.junit.write_text(result.to_junit(notebook.name), encoding="utf-8")
    if written.executed:
        write_notebook(result.executed(content), written.executed)
    if written.as_json:
        write_json(result.as_row())
    else:
        write_table(result.table().columns, result.table().rows)
        sys.stdout.write(f"{result.sentence}\n")
    if any(cell.status.startswith("fails") for cell in result.as_written):
        raise typer.Exit(1)


def repair(
    notebook: Notebook,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .ipynb to write.")],
    drop_outputs: Annotated[bool, typer.Option("--drop-outputs", help="Leave out what the cells showed.")] = False,
) -> None:
    """Write the notebook repaired for the libraries of today; nothing is executed.

    Each broken call becomes what to write instead, with the reason above it. Exit code 0: written; 2: bad input.
    """
    from repro.notebooks.reading import load_notebook
    from repro.notebooks.repair import repair_notebook, write_notebook

    if output.suffix != ".ipynb" or output.exists():
        raise UsageError(f"{output} exists already, or is no .ipynb", "Name a new file with -o OUT.ipynb.")
    content = load_notebook(notebook)
    rows = repair_notebook(content, drop_outputs=drop_outputs)
    write_notebook(content, output)
    write_table(("cell", "fix", "since", "reason"), rows)
    sys.stdout.write(f"{len(rows)} repairs in {output}; every other cell is as it was.\n")
