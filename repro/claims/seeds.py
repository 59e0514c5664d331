"""What several seeds conclude, where each is judged by itself: all agree, or a sign test says which side has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import comb

from repro.claims.claim import Direction, Outcome

ALPHA = 0.05
MOST_SEEDS = 500  # nobody runs more; beyond it the number is only bounded


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An outcome and why; where it deviates the direction and the parts that do.

    `placed` says of each figure of reference on which side of its interval it lies, None for inside, `among` how many
    runs that interval is of.
    """

    outcome: Outcome
    why: str
    direction: Direction | None = None
    parts: frozenset[str] = frozenset()
    placed: Mapping[str, Direction | None] = field(default_factory=dict)
    among: int = 0


def two_sided_binomial(successes: int, n: int) -> float:
    """Return the exact p value of `successes` out of n against one half."""
    fewer = min(successes, n - successes)
    return min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / float(2**n))


def majority(successes: int, n: int) -> bool | None:
    """Tell whether most runs succeed: True or False where the sign test at 5 % says so, or None."""
    if two_sided_binomial(successes, n) > ALPHA:
        return None
    return successes > n - successes


def more_seeds_for_majority(successes: int, n: int) -> str:
    """Say how many more seeds would decide, were their share to stay as it is."""
    if 2 * successes == n:
        return "they split evenly, and no number of seeds decides while they do"
    for more in range(1, MOST_SEEDS):
        if majority(round(successes / n * (n + more)), n + more) is not None:
            return f"{more} more seed{'' if more == 1 else 's'} would decide if that share stays"
    return f"not even {MOST_SEEDS} more seeds would decide if that share stays"


def conclude(by_part: dict[str, list[Direction | None]], why: str) -> Judgement:
    """Conclude from each part's seeds, None for one that holds and else the direction in which it misses.

    A part whose seeds agree is decided; where they disagree, the sign test decides between holding and missing.
    """
    deviating: dict[str, Direction | None] = {}
    undecided: list[str] = []
    share = ""
    for part, directions in by_part.items():
        holding, n = directions.count(None), len(directions)
        if holding == n:
            continue
        missing, misses = Counter(d for d in directions if d is not None).most_common(1)[0]
        if misses == n:
            deviating[part] = missing
            continue
        decided = majority(holding, n)
        share = f"{holding} of {n} seeds hold: "
        if decided is False:
            deviating[part] = missing if misses == n - holding else "different"
        elif decided is None:
            undecided.append(f"the seeds disagree, {holding} of {n} hold: {more_seeds_for_majority(holding, n)}; ")
    if deviating:
        directions_met = set(deviating.values())
        direction = directions_met.pop() if len(directions_met) == 1 else "different"
        why, parts = share + why, frozenset(deviating)
        return Judgement(outcome=Outcome.DEVIATES, direction=direction, why=why, parts=parts)
    if undecided:
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=undecided[0] + why)
    return Judgement(outcome=Outcome.REPRODUCED, why=share + why)
