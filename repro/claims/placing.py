"""A run against this suite's own reference runs, which tells whether an installation is as it should be.

One run, or the mean of several, lies inside a figure's prediction interval or outside. All figures of the catalogue
share a false-alarm rate of 1 %: of k figures each has 1 % / k. A tolerance is the interval's least half-width, where
figures are counted in rows. One or two runs are placed, three and more are judged by their mean. That says nothing of
the seminar.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim, Direction, Kind, Outcome
from repro.claims.seeds import Judgement
from repro.claims.wording import number
from repro.spec import RunSpec

FAMILY = 0.01  # false alarms over all figures of a catalogue
JUDGED = 3  # runs; fewer are placed
FEWEST = 8  # runs of a reference: of fewer a 99.9 % interval says next to nothing


def judge_placed(claim: Claim, catalogue: Catalogue, setup: RunSpec, measured: Sequence[Any]) -> Judgement:
    """Place or judge every figure of the claim."""
    figures_in_all = sum(len(c.figures) for c in catalogue.claim if c.kind is Kind.REFERENCE)
    table = next(iter(claim.figures.values())).partition(":")[0]
    population = catalogue.populations[table].like(setup)
    n, among = len(measured), len(population.runs)
    if among < FEWEST:
        why = f"the reference holds {among} {population.about}, at least {FEWEST} are needed"
        return Judgement(outcome=Outcome.NOT_COMPARABLE, why=why)
    placed: dict[str, Direction | None] = {}
    outside: list[str] = []
    for part, name in claim.figures.items():
        figure = population.figure(name.partition(":")[2])
        mean = fmean(value[part] if part else value for value in measured)
        half = max(claim.tolerance_of(part), figure.half_width(n, 1 - FAMILY / figures_in_all))
        away = mean - figure.mean
        placed[part] = None if abs(away) <= half else "low" if away < 0 else "high"
        if placed[part]:
            span = f"{number(figure.mean - half)} to {number(figure.mean + half)}"
            outside.append(
                f"{part + ' ' if part else ''}{number(mean)} is outside {span} of {among} {population.about}"
            )
    word = f"{n} run{'' if n == 1 else 's'} {'judged' if n >= JUDGED else 'placed'}"
    if not outside:
        why = f"{word}: inside the prediction interval in {len(placed)} of {len(placed)} figures"
        return Judgement(outcome=Outcome.MATCHES, why=why, placed=placed, among=among)
    directions = {direction for direction in placed.values() if direction}
    return Judgement(
        outcome=Outcome.DEVIATES,
        direction=directions.pop() if len(directions) == 1 else "different",
        why=f"{word}: {'; '.join(outside)}",
        parts=frozenset(part for part, direction in placed.items() if direction),
        placed=placed,
        among=among,
    )
