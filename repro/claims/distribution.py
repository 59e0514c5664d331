"""The mean of n seeds against the public reruns: equivalence within a margin, or a difference, or neither yet.

With d the difference of the means over n seeds and m distinct reruns, a figure is
- equivalent if the 90 % interval of d lies within ± its margin (two one-sided t tests at 5 %, the standard deviation
  pooled over both); one seed shows no spread of its own and is never equivalent;
- different if it is not equivalent and d is significant both by the reruns' spread (the mean lies outside the 95 %
  prediction interval of n further reruns) and by Welch's test, in which the seeds' own spread enters: the reruns all
  set seed 42, ours draw the order of rows anew. A claim of k figures tests each at 5 % / k;
- undecided else. How many seeds would decide is counted under the assumption that the mean stays.
A claim is reproduced if all its figures are equivalent and no seed alone lies where fewer than one in a hundred
such sets of runs has one. The rates of false alarms and of power are simulated in tests/claims/test_distribution.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, sqrt
from statistics import fmean, stdev
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim, Direction, Outcome
from repro.claims.references import Figure
from repro.claims.seeds import ALPHA, MOST_SEEDS, Judgement
from repro.claims.wording import number
from repro.stats import t_quantile

STRAY = 0.01  # chance that any of a claim's seeds and figures strays, were all drawn from the reruns


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure's seeds beside the reruns: the difference of the means and the half-widths of its two intervals."""

    figure: Figure
    margin: float
    seeds: int
    difference: float
    equivalence: float
    significance: float

    @property
    def equivalent(self) -> bool:
        """Whether the 90 % interval of the difference lies within the margin."""
        return self.seeds > 1 and abs(self.difference) + self.equivalence <= self.margin

    @property
    def different(self) -> bool:
        """Whether the difference is significant and not shown to be within the margin."""
        return abs(self.difference) > self.significance and not self.equivalent

    def __str__(self) -> str:
        low, high = self.difference - self.equivalence, self.difference + self.equivalence
        word = "above" if self.difference > 0 else "below"
        mean = "" if self.seeds == 1 else "mean "
        return (
            f"{mean}{number(self.figure.mean + self.difference)} is {abs(self.difference):.4f} {word} the "
            f"{self.figure.n} reruns' {number(self.figure.mean)}, 90 % interval {low:+.4f} to {high:+.4f}, "
            f"margin ±{number(self.margin)}"
        )


def compare_figure(values: Sequence[float], figure: Figure, margin: float, *, tests: int = 1) -> Comparison:
    """Compare one figure's seeds with the reruns; `tests` figures share the 5 % of false alarms."""
    spread = stdev(values) if len(values) > 1 else None
    return _comparison(fmean(values) - figure.mean, len(values), spread, figure, margin, tests)


def judge_distribution(claim: Claim, catalogue: Catalogue, measured: Sequence[Any]) -> Judgement:
    """Judge each figure of the claim, then all of them together."""
    names = claim.figures
    by_part = {part: [value[part] if part else value for value in measured] for part in names}
    comparisons = {
        part: compare_figure(by_part[part], catalogue.figure(name), claim.tolerance_of(part), tests=len(names))
        for part, name in names.items()
    }
    different = {part: c for part, c in comparisons.items() if c.different}
    if different:
        directions: set[Direction] = {"low" if c.difference < 0 else "high" for c in different.values()}
        direction = directions.pop() if len(directions) == 1 else "different"
        return Judgement(
            outcome=Outcome.DEVIATES, direction=direction, why=_in_words(different), parts=frozenset(different)
        )
    undecided = {part: c for part, c in comparisons.items() if not c.equivalent}
    if undecided:
        more = max(more_seeds(c, tests=len(names)) for c in undecided.values())
        decide = f"if the mean{'s stay' if len(undecided) > 1 else ' stays'}, {_count(more)} would decide"
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=f"{decide}: {_in_words(undecided)}")
    if stray := _stray(by_part, comparisons):
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=stray)
    why = _in_words(comparisons) if len(comparisons) == 1 else _all_within(comparisons)
    return Judgement(outcome=Outcome.REPRODUCED, why=why)


def more_seeds(comparison: Comparison, *, tests: int = 1) -> int:
    """Return how many more seeds would decide, were the mean to stay and the spread to be the reruns'."""
    c = comparison
    for more in range(1, MOST_SEEDS):
        then = _comparison(c.difference, c.seeds + more, c.figure.sd, c.figure, c.margin, tests)
        if then.equivalent or then.different:
            return more
    return MOST_SEEDS


def _comparison(
    difference: float, n: int, spread: float | None, figure: Figure, margin: float, tests: int
) -> Comparison:
    m, confidence = figure.n, 1 - ALPHA / tests
    squares = (m - 1) * figure.sd**2 + (n - 1) * (spread or 0) ** 2
    pooled = sqrt(squares / (n + m - 2))
    significance = figure.half_width(n, confidence)
    if spread is not None:
        ours, theirs = spread**2 / n, figure.sd**2 / m
        degrees = floor((ours + theirs) ** 2 / (ours**2 / (n - 1) + theirs**2 / (m - 1)))  # Welch-Satterthwaite
        significance = max(significance, t_quantile(1 - (1 - confidence) / 2, degrees) * sqrt(ours + theirs))
    return Comparison(
        figure=figure,
        margin=margin,
        seeds=n,
        difference=difference,
        equivalence=t_quantile(1 - ALPHA, n + m - 2) * pooled * sqrt(1 / n + 1 / m),
        significance=significance,
    )


def _stray(by_part: Mapping[str, Sequence[float]], comparisons: Mapping[str, Comparison]) -> str | None:
    """Name a seed that lies alone outside, although the mean is equivalent."""
    looks = sum(map(len, by_part.values()))
    for part, values in by_part.items():
        low, high = comparisons[part].figure.prediction_interval(confidence=1 - STRAY / looks)
        for value in values:
            if not low <= value <= high:
                return (
                    f"the mean is within the margin, but {part + ' ' if part else ''}{number(value)} of one seed is "
                    f"not one of these runs' ({number(low)} to {number(high)}): more seeds don't decide, look at it"
                )
    return None


def _in_words(comparisons: Mapping[str, Comparison]) -> str:
    return "; ".join(f"{part}: {c}" if part else str(c) for part, c in comparisons.items())


def _all_within(comparisons: Mapping[str, Comparison]) -> str:
    within = ", ".join(f"{part} {c.difference:+.4f} of ±{number(c.margin)}" for part, c in comparisons.items())
    reruns = next(iter(comparisons.values())).figure.n
    return f"each mean within its margin of the {reruns} reruns': {within}"


def _count(more: int) -> str:
    return f"about {more} more seed{'' if more == 1 else 's'}" if more < MOST_SEEDS else f"not even {more} more seeds"
