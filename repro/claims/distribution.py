"""The mean of n seeds against the 98 reruns: equivalence within a margin, or a difference, or neither yet.

With d the difference of the means and s the standard deviation pooled over both, its standard error is
s * sqrt(1/n + 1/98) on n + 96 degrees of freedom. A figure is
- equivalent if the 90 % interval of d lies within ± its margin (two one-sided tests at 5 %);
- different if it is not, and the 95 % interval of d, which for one seed is the prediction interval of one run,
  leaves out 0. A claim of k figures tests each at 5 % / k, so that all together raise 5 % of false alarms;
- undecided else. How many seeds would decide is counted under the assumption that the mean stays.
A claim is reproduced if all its figures are equivalent and no seed alone lies where fewer than one in a hundred
such sets of runs has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from repro.claims.catalogue import Claim, Outcome, Side
from repro.claims.reruns import Figure, reference
from repro.claims.seeds import ALPHA, MOST_SEEDS, Finding
from repro.claims.wording import brief, is_number, number
from repro.stats import t_quantile

STRAY = 0.01  # chance that any of a claim's seeds and figures strays, were all drawn from the reruns


@dataclass(frozen=True, kw_only=True)
class Held:
    """One figure's seeds held against the reruns: the difference of the means and the intervals around it."""

    figure: Figure
    margin: float
    seeds: int
    difference: float
    equivalence: float
    significance: float

    @property
    def equivalent(self) -> bool:
        """Whether the 90 % interval of the difference lies within the margin."""
        return abs(self.difference) + self.equivalence <= self.margin

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


def hold(values: Sequence[float], figure: Figure, margin: float, *, tests: int = 1) -> Held:
    """Hold one figure's seeds against the reruns; `tests` figures share the 5 % of false alarms."""
    n, mean = len(values), fmean(values)
    squares = (figure.n - 1) * figure.sd**2 + (n - 1) * (stdev(values) ** 2 if n > 1 else 0)
    return _held(mean - figure.mean, n, sqrt(squares / (n + figure.n - 2)), figure, margin, tests)


def compare_distribution(claim: Claim, measured: Sequence[Any]) -> Finding:
    """Judge each figure of the claim, then all of them together."""
    names, margins = claim.reference, claim.tolerance
    if not isinstance(names, dict) or not isinstance(margins, dict):
        names, margins, measured = {"": str(names)}, {"": claim.margin}, [{"": value} for value in measured]
    for values in measured:
        if wrong := [value for value in values.values() if not is_number(value)]:
            raise ValueError(f"expected a number, found {brief(wrong[0])}")
    by_part = {part: [values[part] for values in measured] for part in names}
    held = {part: hold(by_part[part], reference(name), margins[part], tests=len(names)) for part, name in names.items()}
    different = {part: h for part, h in held.items() if h.different}
    if different:
        sides: set[Side] = {"low" if h.difference < 0 else "high" for h in different.values()}
        return Outcome.DEVIATES, sides.pop() if len(sides) == 1 else "different", _told(different)
    open_parts = {part: h for part, h in held.items() if not h.equivalent}
    if open_parts:
        more = max(more_seeds(h, tests=len(names)) for h in open_parts.values())
        decide = f"if the mean{'s stay' if len(open_parts) > 1 else ' stays'}, {_count(more)} would decide"
        return Outcome.INCONCLUSIVE, None, f"{decide}: {_told(open_parts)}"
    if stray := _strays(by_part, held):
        return Outcome.INCONCLUSIVE, None, stray
    return Outcome.REPRODUCED, None, _told(held) if len(held) == 1 else _all_within(held)


def more_seeds(held: Held, *, tests: int = 1) -> int:
    """Return how many more seeds would decide, were the mean and the reruns' spread to stay as they are."""
    for more in range(1, MOST_SEEDS):
        then = _held(held.difference, held.seeds + more, held.figure.sd, held.figure, held.margin, tests)
        if then.equivalent or then.different:
            return more
    return MOST_SEEDS


def _held(difference: float, n: int, sd: float, figure: Figure, margin: float, tests: int) -> Held:
    error, degrees = sd * sqrt(1 / n + 1 / figure.n), n + figure.n - 2
    return Held(
        figure=figure,
        margin=margin,
        seeds=n,
        difference=difference,
        equivalence=t_quantile(1 - ALPHA, degrees) * error,
        significance=t_quantile(1 - ALPHA / tests / 2, degrees) * error,
    )


def _strays(by_part: dict[str, list[float]], held: dict[str, Held]) -> str | None:
    """Name a seed that lies alone outside, although the mean is equivalent."""
    looks = sum(map(len, by_part.values()))
    for part, values in by_part.items():
        low, high = held[part].figure.prediction_interval(confidence=1 - STRAY / looks)
        for value in values:
            if not low <= value <= high:
                return (
                    f"the mean is within the margin, but {part + ' ' if part else ''}{number(value)} of one seed is "
                    f"not one of these runs' ({number(low)} to {number(high)}): more seeds don't decide, look at it"
                )
    return None


def _told(held: dict[str, Held]) -> str:
    return "; ".join(f"{part}: {h}" if part else str(h) for part, h in held.items())


def _all_within(held: dict[str, Held]) -> str:
    within = ", ".join(f"{part} {h.difference:+.4f} of ±{number(h.margin)}" for part, h in held.items())
    return f"each mean within its margin of the {next(iter(held.values())).figure.n} reruns': {within}"


def _count(more: int) -> str:
    return f"about {more} more seed{'' if more == 1 else 's'}" if more < MOST_SEEDS else f"not even {more} more seeds"
