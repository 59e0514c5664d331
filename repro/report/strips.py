"""A claim's figures as strips: each number that it reports with a tolerance, and what was measured, on one axis.

Plain numbers for a template, which draws them without a plotting library, so that a page's colours hold for them too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from repro.claims.catalogue import Catalogue
from repro.claims.claim import POPULATION, Claim, Kind
from repro.claims.judge import Verdict
from repro.claims.references import Figure
from repro.claims.wording import is_number

DRAWN = {Kind.VALUE, Kind.RANGE, *POPULATION}  # the others hold or do not; a picture would add nothing
MOST = 8  # more numbers than that are a figure of their own
SPELT = {"weighted f1": "weighted F1", "macro f1": "macro F1"}
WIDTH = 600.0  # of a strip in its own units; the page scales it
MARGIN = 24.0  # for the numbers at both ends of the axis
TICKS = 4
BINS = 16
Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One figure of a claim: reported value and what the claim allows, measured seeds, and independent runs."""

    label: str
    measured: Figure
    reported: float | None = None
    allowed: Span | None = None
    reference: tuple[float, ...] = ()

    @cached_property
    def axis(self) -> Span:
        """The ends of the axis, a little beyond everything that is drawn."""
        lone = [self.measured.mean, *([] if self.reported is None else [self.reported])]
        drawn = [*lone, *(self.allowed or ()), *(self.measured.interval or ()), *self.reference]
        low, high = min(drawn), max(drawn)
        beyond = 0.04 * (high - low) or abs(low) * 0.1 or 1.0
        return low - beyond, high + beyond

    def x(self, value: float) -> float:
        """Return where a value stands, in the strip's units."""
        low, high = self.axis
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where round numbers stand on the axis, and how they read."""
        low, high = self.axis
        about = (high - low) / TICKS
        power = 10.0 ** math.floor(math.log10(about))
        step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda candidate: abs(candidate - about))
        digits = max(0, -math.floor(math.log10(step)))
        numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
        return [(self.x(i * step), f"{i * step:,.{digits}f}") for i in numbers]

    @property
    def bins(self) -> list[tuple[float, float, float]]:
        """The reference's histogram: left end, width and height (1 is the fullest) of every bin that holds a run."""
        import numpy as np

        counts, edges = np.histogram(self.reference, bins=BINS)
        lefts = [self.x(float(edge)) for edge in edges] if self.reference else []
        spans = zip(lefts, lefts[1:], counts.tolist(), strict=False)
        return [(left, round(right - left, 1), round(n / max(counts), 3)) for left, right, n in spans if n]


def strips(catalogue: Catalogue, verdict: Verdict) -> tuple[Strip, ...]:
    """Return a strip for each number of the claim; none where nothing was measured that could be drawn."""
    if verdict.claim.kind not in DRAWN or len(verdict.estimates) > MOST:
        return ()
    return tuple(
        s for part, measured in verdict.estimates.items() for s in _strip(verdict.claim, part, measured, catalogue)
    )


def _strip(claim: Claim, part: str, measured: Figure, catalogue: Catalogue) -> Iterator[Strip]:
    reported = claim.reported_of(part)
    figure = catalogue.figure(claim.figures[part]) if part in claim.figures else None
    allowed: Span | None = None
    if claim.kind is Kind.RANGE and isinstance(reported, list):
        allowed, reported = (float(reported[0]), float(reported[1])), None
    elif claim.kind is Kind.REFERENCE and figure:
        allowed = figure.prediction_interval(measured.n)
    elif is_number(reported):
        middle, margin = figure.mean if figure else reported, claim.tolerance_of(part)
        allowed = (middle - margin, middle + margin)
    else:
        return
    label = part or (claim.measure.rpartition(".")[2] if isinstance(claim.measure, str) else claim.id)
    label = label.replace("_", " ")
    yield Strip(
        label=SPELT.get(label, label),
        measured=measured,
        reported=reported,
        allowed=allowed,
        reference=figure.values if figure else (),
    )
