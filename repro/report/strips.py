"""A claim's figures as strips: every number that it reports with a tolerance, and what was measured for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import POPULATION, Claim, Kind
from repro.claims.judge import Verdict
from repro.claims.references import Figure
from repro.claims.wording import is_number
from repro.report.charts import Span, Strip

DRAWN = {Kind.VALUE, Kind.RANGE, *POPULATION}  # the others hold or do not; a picture would add nothing
MOST = 8  # more numbers than that are a figure of their own
SPELT = {"weighted f1": "weighted F1", "macro f1": "macro F1"}


def strips(catalogue: Catalogue, verdict: Verdict) -> tuple[Strip, ...]:
    """Return a strip for each number of the claim; none where nothing was measured that could be drawn."""
    if verdict.claim.kind not in DRAWN or len(verdict.estimates) > MOST:
        return ()
    return tuple(
        strip
        for part, measured in verdict.estimates.items()
        for strip in _strip(verdict.claim, part, measured, catalogue)
    )


def _strip(claim: Claim, part: str, measured: Figure, catalogue: Catalogue) -> Iterator[Strip]:
    reported, margin = _of(claim.reported, part), _of(claim.tolerance, part)
    figure = catalogue.figure(claim.figures[part]) if part in claim.figures else None
    allowed: Span | None = None
    if claim.kind is Kind.RANGE and isinstance(reported, list):
        allowed, reported = (float(reported[0]), float(reported[1])), None
    elif claim.kind is Kind.REFERENCE and figure:
        allowed = figure.prediction_interval(measured.n)
    elif not is_number(reported):
        return
    elif is_number(margin):
        middle = figure.mean if figure else reported
        allowed = (middle - margin, middle + margin)
    label = part or (claim.measure.rpartition(".")[2] if isinstance(claim.measure, str) else claim.id)
    label = label.replace("_", " ")
    yield Strip(
        label=SPELT.get(label, label),
        n=measured.n,
        reported=reported,
        allowed=allowed,
        mean=measured.mean,
        interval=measured.interval,
        reference=figure.values if figure else (),
    )


def _of(table: Any, part: str) -> Any:
    """Return a part's entry, or the one value that stands for all parts."""
    return table.get(part) if isinstance(table, dict) else table
