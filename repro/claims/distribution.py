"""The mean of n seeds against raw runs: those of the public, or this suite's own.

Public reruns: equivalence within a margin, a difference, or neither yet; the head of the seminar's claims.toml says in
full when a figure is which. A claim is reproduced if all its figures are equivalent and no seed alone lies where fewer
than one in a hundred such sets of runs has one. Welch's test is asked too, since the reruns all set seed 42 and ours
draw the order of rows anew. False alarms and power are simulated in tests/claims/test_distribution.py.

This suite's own runs tell whether an installation is as it should be, and nothing of the seminar: a mean lies inside a
figure's prediction interval or outside. All k figures of the catalogue share a false-alarm rate of 1 %, each has
1 % / k. A tolerance is the interval's least half-width, where figures are counted in rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, sqrt
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim, Direction, Judgement, Kind, Outcome
from repro.claims.kinds import ALPHA
from repro.claims.references import Figure
from repro.display import number, plural
from repro.spec import RunSpec
from repro.stats import t_quantile

STRAY = 0.01  # chance that any of a claim's seeds and figures strays, were all drawn from the reruns
FAMILY = 0.01  # false alarms over all figures of a catalogue of own runs
JUDGED = 3  # own runs; fewer are placed
FEWEST = 8  # runs of a reference of our own: of fewer a 99.9 % interval says next to nothing


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A figure over the seeds beside that of the reruns; `tests` figures share the 5 % of false alarms."""

    seeds: Figure
    reruns: Figure
    margin: float
    tests: int = 1

    @property
    def difference(self) -> float:
        """The seeds' mean minus the reruns'."""
        return self.seeds.mean - self.reruns.mean

    @property
    def equivalence(self) -> float:
        """Half the 90 % interval of the difference, the standard deviation pooled over seeds and reruns."""
        n, m = self.seeds.n, self.reruns.n
        pooled = sqrt(((m - 1) * self.reruns.sd**2 + (n - 1) * self.seeds.sd**2) / (n + m - 2))
        return t_quantile(1 - ALPHA, n + m - 2) * pooled * sqrt(1 / n + 1 / m)

    @property
    def significance(self) -> float:
        """The least difference that is significant by the reruns' spread and by Welch's test."""
        alpha = ALPHA / self.tests
        n, m = self.seeds.n, self.reruns.n
        by_reruns = self.reruns.half_width(n, 1 - alpha)
        if n == 1:
            return by_reruns
        ours, theirs = self.seeds.sd**2 / n, self.reruns.sd**2 / m
        degrees = floor((ours + theirs) ** 2 / (ours**2 / (n - 1) + theirs**2 / (m - 1)))  # Welch-Satterthwaite
        return max(by_reruns, t_quantile(1 - alpha / 2, degrees) * sqrt(ours + theirs))

    @property
    def equivalent(self) -> bool:
        """Whether the 90 % interval of the difference lies within the margin."""
        return self.seeds.n > 1 and abs(self.difference) + self.equivalence <= self.margin

    @property
    def different(self) -> bool:
        """Whether the difference is significant and not shown to be within the margin."""
        return abs(self.difference) > self.significance and not self.equivalent

    def __str__(self) -> str:
        low, high = self.difference - self.equivalence, self.difference + self.equivalence
        word = "above" if self.difference > 0 else "below"
        return (
            f"{'' if self.seeds.n == 1 else 'mean '}{number(self.seeds.mean)} is "
            f"{abs(self.difference):.4f} {word} the {self.reruns.n} reruns' {number(self.reruns.mean)}, "
            f"90 % interval {low:+.4f} to {high:+.4f}, margin ±{number(self.margin)}"
        )


def judge_distribution(claim: Claim, catalogue: Catalogue, measured: Sequence[Any]) -> Judgement:
    """Judge each figure of the claim against the public reruns, then all of them together."""
    compared = {
        part: Comparison(
            seeds=seeds, reruns=catalogue.figure(claim.figures[part]), margin=claim.tolerance_of(part),
            tests=len(claim.figures),
        )
        for part, seeds in _by_part(claim, measured).items()
    }  # fmt: skip
    if different := {part: c for part, c in compared.items() if c.different}:
        return Judgement(
            outcome=Outcome.DEVIATES,
            why=_in_words(different),
            placed={part: "low" if c.difference < 0 else "high" for part, c in different.items()},
        )
    if undecided := {part: c for part, c in compared.items() if not c.equivalent}:
        why = f"{plural(len(measured), 'seed')} can't decide: {_in_words(undecided)}"
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=why)
    if stray := _stray(compared):
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=stray)
    within = ", ".join(f"{part} {c.difference:+.4f} of ±{number(c.margin)}" for part, c in compared.items())
    reruns = next(iter(compared.values())).reruns.n
    together = f"each mean within its margin of the {reruns} reruns': {within}"
    return Judgement(outcome=Outcome.REPRODUCED, why=_in_words(compared) if len(compared) == 1 else together)


def judge_placed(claim: Claim, catalogue: Catalogue, setup: RunSpec, measured: Sequence[Any]) -> Judgement:
    """Place every figure of the claim among this suite's own runs of the same setup, or judge it."""
    in_all = sum(len(c.figures) for c in catalogue.claim if c.kind is Kind.REFERENCE)
    population = catalogue.populations[next(iter(claim.figures.values())).partition(":")[0]].like(setup)
    n, among = len(measured), len(population.runs)
    if among < FEWEST:
        why = f"the reference holds {among} {population.about}, at least {FEWEST} are needed"
        return Judgement(outcome=Outcome.NOT_COMPARABLE, why=why)
    placed: dict[str, Direction | None] = {}
    outside = []
    for part, ours in _by_part(claim, measured).items():
        figure = population.figure(claim.figures[part].partition(":")[2])
        half = max(claim.tolerance_of(part), figure.half_width(n, 1 - FAMILY / in_all))
        away = ours.mean - figure.mean
        placed[part] = None if abs(away) <= half else "low" if away < 0 else "high"
        if placed[part]:
            span = f"{number(figure.mean - half)} to {number(figure.mean + half)}"
            outside.append(f"{part} {number(ours.mean)} is outside {span} of {among} {population.about}".lstrip())
    outcome = Outcome.DEVIATES if outside else Outcome.MATCHES
    what = "; ".join(outside) or f"inside the prediction interval in {len(placed)} of {len(placed)} figures"
    why = f"{plural(n, 'run')} {'judged' if n >= JUDGED else 'placed'}: {what}"
    return Judgement(outcome=outcome, why=why, placed=placed, among=among)


def _by_part(claim: Claim, measured: Sequence[Any]) -> dict[str, Figure]:
    return {part: Figure(tuple(value[part] if part else value for value in measured)) for part in claim.figures}


def _stray(compared: Mapping[str, Comparison]) -> str | None:
    """Name a seed that lies alone outside, although the mean is equivalent."""
    looks = sum(c.seeds.n for c in compared.values())
    for part, c in compared.items():
        low, high = c.reruns.prediction_interval(confidence=1 - STRAY / looks)
        for value in c.seeds.values:
            if not low <= value <= high:
                return (
                    f"the mean is within the margin, but {part + ' ' if part else ''}{number(value)} of one seed is "
                    f"not one of these runs' ({number(low)} to {number(high)}): more seeds don't decide, look at it"
                )
    return None


def _in_words(compared: Mapping[str, Comparison]) -> str:
    return "; ".join(f"{part}: {c}" if part else str(c) for part, c in compared.items())
