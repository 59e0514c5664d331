"""`repro verify`, and the verdicts that `repro report` shows too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.commands.options import Results, plain, write_table
from repro.errors import ResultsError

if TYPE_CHECKING:
    from repro.claims.judge import Verdict
    from repro.records.schema import RunRecord

STYLES = {"reproduced": "green", "deviates": "red", "inconclusive": "yellow"}


def verify(
    results: Results = Path("results"),
    claim: Annotated[list[str] | None, typer.Option("--claim", help="Only this claim; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Give a verdict a claim. Exit code 0: none deviates; 1: some do; 2: bad input."""
    verdicts = judged(results)[0]
    if claim:
        from repro.claims.catalogue import load_catalogue

        wanted = {load_catalogue().claim_named(name).id for name in claim}
        verdicts = [v for v in verdicts if v.claim.id in wanted]
    if as_json:
        sys.stdout.write(json.dumps([v.as_row() for v in verdicts], indent=1, ensure_ascii=False) + "\n")
    else:
        rows = [
            (
                v.claim.id,
                v.claim.shown,
                v.shown,
                f"[{STYLES.get(v.outcome, 'dim')}]{v.label}[/]",
                plain(v.why),
            )
            for v in verdicts
        ]
        write_table(("claim", "reported", "measured", "verdict", "why"), rows, markup_column=3)
        from repro.report.tables import outcome_counts

        sys.stdout.write(", ".join(f"{n} {name}" for name, n in outcome_counts(verdicts).items() if n) + "\n")
    if any(v.outcome == "deviates" for v in verdicts):
        raise typer.Exit(1)


def judged(results: Path) -> tuple[list[Verdict], list[RunRecord]]:
    """Return a verdict a claim, and the records; ResultsError where there are none."""
    from repro.claims.catalogue import load_catalogue
    from repro.claims.judge import judge_all
    from repro.records.store import read_records
    from repro.sections import SECTIONS

    records = read_records(results)
    if not records:
        raise ResultsError(f"{results / 'runs'} is empty", "Run something first: python -m repro run")
    return judge_all(load_catalogue(), records, list(SECTIONS)), records
