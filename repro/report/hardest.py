"""The hardest and the easiest validation tweets: row numbers, labels and losses; never a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from repro.claims.catalogue import load_catalogue
from repro.display.figure import way_of
from repro.display.table import Table
from repro.records.record import LABELS, RunRecord

EACH = 10  # the book's


@dataclass(frozen=True, kw_only=True)
class RankedRow:
    """One validation row by its loss (nats); rank 1 is the highest of the hardest, the lowest of the easiest."""

    which: str
    rank: int
    row: int
    label: str
    predicted: str
    loss: float


def ranked_rows(record: RunRecord) -> list[RankedRow]:
    """Return the ten validation rows of highest loss, then the ten of lowest; none where no losses were recorded."""
    results = record.rows.get("validation")
    if results is None or results.losses is None:
        return []
    losses = results.losses
    rising = sorted(range(len(losses)), key=lambda row: losses[row])
    return [
        RankedRow(
            which=which,
            rank=rank,
            row=row,
            label=LABELS[results.labels[row]],
            predicted=LABELS[results.predictions[row]],
            loss=losses[row],
        )
        for which, rows in (("hardest", rising[::-1][:EACH]), ("easiest", rising[:EACH]))
        for rank, row in enumerate(rows, 1)
    ]


def published_hardest() -> list[int]:
    """Return the ten validation rows that the book prints."""
    return list(load_catalogue().claim_named("finetune.hardest").reported)


def hardest_table(runs: Sequence[RunRecord]) -> Table:
    """One row a fine-tuning and tweet: rank, row number, labels, loss, and whether the book prints that row too."""
    published = published_hardest()
    return Table(
        ("run", "seed", "which", "rank", "validation row", "label", "predicted", "loss", "in the book's ten"),
        tuple(
            (way_of(run), str(run.settings.seed), r.which, str(r.rank), str(r.row), r.label, r.predicted,
             f"{r.loss:.4f}", "yes" if r.row in published else "no")
            for run in runs
            for r in ranked_rows(run)
        ),
    )  # fmt: skip
