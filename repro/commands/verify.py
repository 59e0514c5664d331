"""`repro verify`, and the verdicts that `repro report` shows too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.commands.options import CatalogueName, Results, plain, write_table
from repro.errors import NotComparableError, ResultsError

if TYPE_CHECKING:
    from repro.claims.catalogue import Catalogue
    from repro.claims.judge import Verdict
    from repro.records.schema import RunRecord

STYLES = {
    "reproduced": "green", "holds by construction": "green", "holds on the stand-in": "green",
    "matches the reference": "green", "deviates": "red", "inconclusive": "yellow", "known deviation": "yellow",
    "no longer so": "yellow",
}  # fmt: skip


def verify(
    results: Results = Path("results"),
    claim: Annotated[list[str] | None, typer.Option("--claim", help="Only this claim; may be repeated.")] = None,
    catalogue: CatalogueName = "seminar",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Give a verdict a claim. Exit code 0: none deviates that was not known to; 1: some do; 2: bad input.

    A catalogue of reference ends with a line on whether this machine matches it; 6 where nothing could be compared.
    """
    from repro.claims.judge import reference_line

    read, verdicts, _ = judged(results, catalogue)
    line = reference_line(read, verdicts)
    if claim:
        wanted = {read.claim_named(name).id for name in claim}
        verdicts = [v for v in verdicts if v.claim.id in wanted]
    if as_json:
        sys.stdout.write(json.dumps([v.as_row() for v in verdicts], indent=1, ensure_ascii=False) + "\n")
    else:
        _write_verdicts(verdicts)
        sys.stdout.write(f"{line}\n" if line else "")
    if any(v.outcome == "deviates" for v in verdicts):
        raise typer.Exit(1)
    if line and not claim and not any(v.placed for v in verdicts):
        raise typer.Exit(NotComparableError.exit_code)


def judged(results: Path, name: str = "seminar") -> tuple[Catalogue, list[Verdict], list[RunRecord]]:
    """Return the catalogue, a verdict a claim, and the records; ResultsError where there are none."""
    from repro.claims.catalogue import load_catalogue
    from repro.claims.judge import judge_all
    from repro.records.store import read_records
    from repro.sections import SECTIONS

    catalogue, records = load_catalogue(name), read_records(results)
    if not records:
        raise ResultsError(f"{results / 'runs'} is empty", "Run something first: python -m repro run")
    return catalogue, judge_all(catalogue, records, list(SECTIONS)), records


def _write_verdicts(verdicts: list[Verdict]) -> None:
    from repro.report.tables import outcome_counts

    rows = [
        (v.claim.id, v.claim.shown, v.shown, f"[{STYLES.get(v.outcome, 'dim')}]{v.label}[/]", plain(v.why),
         v.corroboration)
        for v in verdicts
    ]  # fmt: skip
    write_table(("claim", "reported", "measured", "verdict", "why", "public runs"), rows, markup_column=3)
    sys.stdout.write(", ".join(f"{n} {name}" for name, n in outcome_counts(verdicts).items() if n) + "\n")
