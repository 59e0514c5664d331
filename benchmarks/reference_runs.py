"""Make a catalogue's table of own reference runs from records: one row a run, the figures that its claims read.

    python benchmarks/reference_runs.py --catalogue rehearsal --results build/reference

Every record that meets the claims' needs counts, the newest of each seed and precision; all must be of one source or
of one commit (until November 2026 a source's hash depended on Python's version). It writes references/runs.csv below
the catalogue and prints mean and standard deviation of every figure, and the difference between precisions.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev

import typer

from repro.claims.catalogue import Catalogue, read_header
from repro.claims.claim import Claim
from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.gates import unmet_need
from repro.errors import ReproError, ResultsError
from repro.records.schema import RunRecord
from repro.records.store import read_records

Row = dict[str, str]


def reference_rows(catalogue: Catalogue, records: Sequence[RunRecord]) -> list[Row]:
    """Return a row a run that all claims of the catalogue can be read from; ResultsError where none or two sources.

    Seeds that were declared in several sessions are one reference.
    """
    claims = [claim for claim in catalogue.claim if claim.figures]
    readable = [
        cohort
        for cohort in cohorts_of(record.model_copy(update={"declared_seeds": None}) for record in records)
        if all(
            cohort.experiment == claim.experiment
            and cohort.measured(claim)
            and not unmet_need(claim, catalogue, cohort)
            for claim in claims
        )
    ]
    counted = [record for cohort in readable for record in cohort.records]
    sources = {record.source_sha256 for record in counted}
    commits = {record.provenance.commit if record.provenance.dirty is False else None for record in counted}
    if not any(len(one) == 1 and None not in one for one in (sources, commits)):
        raise ResultsError(
            f"expected runs of one source that meet the needs of {catalogue.name}, found {len(sources)}",
            f"Measure all on one commit: {catalogue.command.replace('{experiment}', 'finetune')} --seeds 1000-1049",
        )
    return [row for cohort in readable for row in _rows(claims, cohort)]


def _rows(claims: Sequence[Claim], cohort: Cohort) -> Iterator[Row]:
    measured = [(claim, cohort.measured(claim) or []) for claim in claims]
    for i, record in enumerate(cohort.records):
        origin, hardest = record.provenance, record.facts.get("hardest_rows")
        figures = {
            name.partition(":")[2]: values[i][part] if part else values[i]
            for claim, values in measured
            for part, name in claim.figures.items()
        }
        yield {
            "seed": str(record.settings.seed),
            "precision": record.settings.precision,
            "source_sha256": (record.source_sha256 or "")[:12],
            "torch": origin.versions.get("torch", ""),
            "transformers": origin.versions.get("transformers", ""),
            "processor": origin.accelerator or origin.processor,
            "started": origin.started[:10],
            "hardest_rows": " ".join(map(str, hardest)) if isinstance(hardest, list) else "",
            **{name: f"{value:.6f}" for name, value in figures.items()},
        }


def describe(catalogue: Catalogue, rows: Sequence[Row]) -> Iterator[str]:
    """Say what the table holds, figure by figure."""
    yield f"{len(rows)} runs of {catalogue.name}"
    for name in (name.partition(":")[2] for claim in catalogue.claim for name in claim.figures.values()):
        values = [float(row[name]) for row in rows]
        yield f"{name}: {fmean(values):.4f} ± {stdev(values):.4f} (n = {len(values)})"
        of = {p: [float(r[name]) for r in rows if r["precision"] == p] for p in sorted({r["precision"] for r in rows})}
        for (one, a), (other, b) in combinations(of.items(), 2):
            error = (stdev(a) ** 2 / len(a) + stdev(b) ** 2 / len(b)) ** 0.5
            yield f"  {one} - {other}: {fmean(a) - fmean(b):+.4f}, standard error {error:.4f}"


def main(catalogue: str = "rehearsal", results: Path = Path("build/reference")) -> None:
    """Write the table and print what it holds."""
    try:
        read = read_header(catalogue)
        rows = reference_rows(read, read_records(results))
    except ReproError as error:
        sys.exit(f"error: {error}")
    path = read.folder / "references" / "runs.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    sys.stdout.write("\n".join([str(path), *describe(read, rows)]) + "\n")


if __name__ == "__main__":
    typer.run(main)
