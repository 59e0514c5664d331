"""`repro report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.commands.options import CatalogueName, Results
from repro.commands.verify import judged


def report(
    results: Results = Path("results"),
    catalogue: CatalogueName = "seminar",
    readme: Annotated[Path | None, typer.Option(help="Also put the verdict table into this README.")] = None,
) -> None:
    """Write REPORT.md, report.html, tables and figures from the records."""
    from repro.report.pages import update_readme, write_report

    read, verdicts, records = judged(results, catalogue)
    for path in write_report(read, verdicts, records, results):
        sys.stdout.write(f"{path}\n")
    if readme:
        update_readme(readme, read, verdicts, records)
        sys.stdout.write(f"{readme}\n")
