"""`repro claims`, `verify`, `admit` and `report`: what the catalogue says, and what the records say to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.commands.options import AsJson, CatalogueName, Results, write_json, write_table
from repro.errors import NotComparableError, ResultsError, printable, unknown

if TYPE_CHECKING:
    from repro.claims.catalogue import Catalogue
    from repro.claims.claim import Claim
    from repro.claims.judge import Judged, Verdict

ATTENTION = {"deviates": "red", "inconclusive": "yellow", "known deviation": "yellow", "no longer so": "yellow"}
NOT_JUDGED = ("not comparable", "not run")
Patterns = list[str] | None


def claims(
    names: Annotated[Patterns, typer.Argument(help="Claims or sections: finetune.f1, 'finetune.*', finetune.")] = None,
    catalogue: CatalogueName = "seminar",
    as_json: AsJson = False,
) -> None:
    """List every claim, its source and what a run must have for it to be comparable."""
    from repro.claims.catalogue import load_catalogue

    chosen = _named(load_catalogue(catalogue), names or ["*"])
    if as_json:
        write_json([claim.model_dump(mode="json") for claim in chosen])
    elif names and len(chosen) == 1:
        for name, value in chosen[0].model_dump(mode="json", exclude_none=True).items():
            typer.echo(f"{name:>15}  {value}")
    else:
        rows = [(c.id, str(c.version), c.shown, c.source, ", ".join(c.needs)) for c in chosen]
        write_table(("claim", "version", "reported", "source", "needs"), rows)


def verify(
    results: Results = Path("results"),
    claim: Annotated[Patterns, typer.Option(help="Only finetune.f1, 'finetune.*' or finetune; repeatable.")] = None,
    catalogue: CatalogueName = "seminar",
    everything: Annotated[bool, typer.Option("--all", help="A row for every claim, whatever its verdict.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge every claim, and show what was not reproduced. Exit code 0: no new deviation; 1: some; 2: bad input.

    A catalogue of reference ends with a line on whether this machine matches it; 6 where nothing could be compared.
    """
    from repro.claims.claim import Outcome
    from repro.claims.judge import reference_line

    read, verdicts, _ = judged(results, catalogue)
    line = reference_line(read, verdicts)
    wanted = {c.id for c in _named(read, claim or ["*"])}
    verdicts = [v for v in verdicts if v.claim.id in wanted]
    if as_json:
        write_json([v.as_row() for v in verdicts])
    else:
        counts = Counter(v.outcome for v in verdicts)
        typer.echo(", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]))
        (_write_table if everything or claim else _write_verdicts)(verdicts)
        typer.echo(line, nl=bool(line))
    if any(v.outcome == "deviates" for v in verdicts):
        raise typer.Exit(1)
    if line and not claim and not any(v.placed for v in verdicts):
        raise typer.Exit(NotComparableError.exit_code)


def admit(
    files: Annotated[list[Path], typer.Argument(help="Records, or folders of them.")],
    catalogue: CatalogueName = "seminar",
) -> None:
    """Check records that are to join the committed ones, and name what keeps them from it, a line a file.

    Exit code 0: all are admitted; 1: a gate fails, or declared seeds are missing; 2: a file is damaged, or its rows
    give other scores; 6: another corpus or other weights than the pinned ones, or a limited run.
    """
    from repro.claims.catalogue import load_catalogue
    from repro.claims.gates import refusals
    from repro.records.store import json_files

    paths = [path for file in files for path in (json_files(file) if file.is_dir() else [file])]
    if not paths:
        raise ResultsError(f"{files[0]} holds no records", "Name records, or a folder of them.")
    refused = refusals(paths, load_catalogue(catalogue))
    for line, _ in refused:
        typer.echo(printable(line), err=True)
    if refused:
        raise typer.Exit(refused[0][1])
    typer.echo(f"{len(paths)} records admitted")


def report(
    results: Results = Path("results"),
    catalogue: CatalogueName = "seminar",
    readme: Annotated[Path | None, typer.Option(help="Also put the verdict table into this README.")] = None,
) -> None:
    """Write REPORT.md, report.html, tables and figures from the records."""
    from repro.report.pages import write_report

    for path in write_report(judged(results, catalogue), results, readme):
        typer.echo(path)


def judged(results: Path, name: str) -> Judged:
    """Return the catalogue, a verdict a claim, and the records; ResultsError where there are none."""
    from repro.claims.catalogue import load_catalogue
    from repro.claims.judge import Judged, judge_all
    from repro.records.store import read_records
    from repro.sections import SECTIONS

    catalogue, records = load_catalogue(name), read_records(results)
    if not records:
        raise ResultsError(f"{results / 'runs'} is empty", "Run something first: python -m repro run")
    return Judged(catalogue, judge_all(catalogue, records, list(SECTIONS)), records)


def _named(catalogue: Catalogue, patterns: Sequence[str]) -> list[Claim]:
    """Return the claims that ids, sections or patterns (`finetune.*`) name; UsageError for one that names none."""
    named = {p: {c.id for c in catalogue.claim if fnmatchcase(c.id, p) or c.experiment == p} for p in patterns}
    for pattern in (pattern for pattern, ids in named.items() if not ids):
        raise unknown("claim", pattern, [claim.id for claim in catalogue.claim])
    return [claim for claim in catalogue.claim if any(claim.id in ids for ids in named.values())]


def _write_verdicts(verdicts: list[Verdict]) -> None:
    """Write what calls for attention, deviations first, then what was not judged, by its reason."""
    for v in sorted(verdicts, key=lambda v: v.outcome != "deviates"):
        if v.outcome in ATTENTION:
            typer.secho(f"\n{v.label}: {v.claim.id}", fg=ATTENTION[v.outcome])
            typer.echo(f"  reported {v.claim.shown}; measured {v.shown}\n  {v.why}")
            typer.echo(f"  {v.corroboration}\n" if v.corroboration else "", nl=False)
    reasons = defaultdict[str, list[str]](list)
    for v in verdicts:
        if v.outcome in NOT_JUDGED:
            reasons[f"{v.outcome}: {v.why}"].append(v.claim.id)
    for reason, ids in reasons.items():
        typer.echo(f"\n{reason}\n  {', '.join(ids)}")
    typer.echo("\n`repro verify --all` shows every claim.")


def _write_table(verdicts: list[Verdict]) -> None:
    rows = []
    for v in verdicts:
        style = ATTENTION.get(v.outcome, "dim" if v.outcome in (*NOT_JUDGED, "for information") else "green")
        verdict = f"[{style}]{v.label}[/]"
        rows.append((v.claim.id, v.claim.shown, v.shown, verdict, v.why, v.corroboration))
    write_table(("claim", "reported", "measured", "verdict", "why", "public runs"), rows, markup_column=3)
