"""What the page draws without a plotting library: a claim's figures on a strip, as plain numbers for a template."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from repro.claims.wording import number

WIDTH = 600.0  # of a strip in its own units; the page scales it
MARGIN = 24.0  # for the numbers at both ends of the axis
TICKS = 5
BINS = 16
Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One figure of a claim on one axis: reported value and what it allows, measured values, and a reference.

    `interval` is that of the mean of `n` runs, `allowed` what the claim lets pass, `reference` the values of
    independent runs. The axis holds all of them.
    """

    label: str
    n: int
    reported: float | None = None
    allowed: Span | None = None
    mean: float | None = None
    interval: Span | None = None
    reference: tuple[float, ...] = ()

    @property
    def axis(self) -> Span:
        """The ends of the axis, a little beyond everything that is drawn."""
        lone = [value for value in (self.reported, self.mean) if value is not None]
        drawn = [*lone, *(self.allowed or ()), *(self.interval or ()), *self.reference]
        low, high = min(drawn), max(drawn)
        beyond = 0.04 * (high - low) or abs(low) * 0.1 or 1.0
        return low - beyond, high + beyond

    def x(self, value: float) -> float:
        """Return where a value stands, in the strip's units."""
        low, high = self.axis
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low), 1)

    @property
    def description(self) -> str:
        """The strip in words, for those who do not see it."""
        parts = [] if self.mean is None else [f"measured {number(self.mean)}, n = {self.n}"]
        if self.interval:
            parts.append(f"95 % interval {_span(self.interval)}")
        if self.reported is not None:
            parts.append(f"reported {number(self.reported)}")
        if self.allowed:
            parts.append(f"allowed {_span(self.allowed)}")
        if self.reference:
            parts.append(f"{len(self.reference)} reruns from {_span((min(self.reference), max(self.reference)))}")
        return "; ".join(parts)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where round numbers stand on the axis, and how they read."""
        low, high = self.axis
        step = _round_step((high - low) / TICKS)
        digits = max(0, -math.floor(math.log10(step)))
        first = math.ceil(low / step)
        return [(self.x(i * step), f"{i * step:,.{digits}f}") for i in range(first, math.floor(high / step) + 1)]

    @property
    def bins(self) -> list[tuple[float, float, float]]:
        """The reference's histogram: left end, width and height (1 is the fullest) of every bin that holds a run."""
        if not self.reference:
            return []
        low, high = min(self.reference), max(self.reference)
        wide = (high - low) / BINS or 1.0
        counts = [0] * BINS
        for value in self.reference:
            counts[min(int((value - low) / wide), BINS - 1)] += 1
        lefts = [self.x(low + i * wide) for i in range(BINS + 1)]
        return [
            (lefts[i], round(lefts[i + 1] - lefts[i], 1), round(count / max(counts), 3))
            for i, count in enumerate(counts)
            if count
        ]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A time on an axis from zero to the longest of its group: ends of the bar and of its spread, in percent."""

    median: float
    low: float
    high: float


def bars(times: Sequence[tuple[float, float, float]]) -> list[Bar]:
    """Return a bar for each (median, shortest, longest); all share one axis."""
    longest = max((high for _, _, high in times), default=0.0) or 1.0
    return [Bar(**{k: round(100 * v / longest, 2) for k, v in zip(("median", "low", "high"), t, strict=True)})
            for t in times]  # fmt: skip


def legend(strips: Sequence[Strip]) -> str:
    """Say what the marks on these strips are."""
    marks = {
        "dashed: reported": any(s.reported is not None for s in strips),
        "shaded: what the claim allows": any(s.allowed for s in strips),
        "dot: measured, one run": any(s.n == 1 for s in strips),
        "dot and line: mean of the runs and its 95 % interval": any(s.interval for s in strips),
        f"columns: {max((len(s.reference) for s in strips), default=0)} independent reruns": any(
            s.reference for s in strips
        ),
    }
    return "; ".join(mark for mark, there in marks.items() if there).capitalize() + "."


def _span(span: Span) -> str:
    return f"{number(span[0])} to {number(span[1])}"


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda candidate: abs(candidate - step))
