"""A claim's figures as strips: every number it reports with a tolerance or a range, and what was measured for it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import Any

from repro.claims.model import Claim, Kind
from repro.claims.verdicts import Verdict
from repro.claims.wording import is_number
from repro.report.charts import Span, Strip

DRAWN = {Kind.VALUE, Kind.RANGE}  # the others hold or do not; a picture would add nothing
LONGEST_LIST = 8  # a matrix is a figure of its own


def strips(verdict: Verdict) -> tuple[Strip, ...]:
    """Return a strip for each number of the claim; none where it was not run or is not about a few numbers."""
    claim = verdict.claim
    if claim.kind not in DRAWN or not verdict.values:
        return ()
    parts = list(_parts(claim, verdict))
    return tuple(parts) if len(parts) <= LONGEST_LIST else ()


def _parts(claim: Claim, verdict: Verdict) -> Iterator[Strip]:
    if not isinstance(claim.reported, dict):
        label = claim.measure.rpartition(".")[2] if isinstance(claim.measure, str) else claim.id
        yield from _strip(claim, label, claim.reported, claim.tolerance, list(verdict.values), verdict)
        return
    for part, reported in claim.reported.items():
        tolerance = claim.tolerance[part] if isinstance(claim.tolerance, dict) else claim.tolerance
        values = [found.get(part) if isinstance(found, dict) else None for found in verdict.values]
        yield from _strip(claim, part, reported, tolerance, values, None)


def _strip(
    claim: Claim, label: str, reported: Any, tolerance: Any, values: list[Any], verdict: Verdict | None
) -> Iterator[Strip]:
    """Yield a strip if all of it is numbers; `verdict` is given where its mean and interval are of this very number."""
    allowed: Span
    if claim.kind is Kind.RANGE and isinstance(reported, list):
        allowed, reported = (float(reported[0]), float(reported[1])), None
    elif is_number(reported) and is_number(tolerance):
        allowed = (reported - tolerance, reported + tolerance)
    else:
        return
    if not all(is_number(value) for value in values):
        return
    yield Strip(
        label=label.replace("_", " "),
        reported=reported,
        allowed=allowed,
        points=tuple(values) if len(values) > 1 else (),
        mean=fmean(values) if verdict is None or verdict.mean is None else verdict.mean,
        interval=None if verdict is None else verdict.interval,
    )
