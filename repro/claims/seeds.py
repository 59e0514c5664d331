"""Seeds that are judged one by one: all agree, or a sign test says which side has it; and “beats”, on the same rows.

An ordering is McNemar's test on the predictions that two classifiers made for the same rows, seed by seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb, erfc, sqrt

from repro.claims.claim import Claim, Direction, Outcome
from repro.claims.cohorts import Cohort
from repro.claims.wording import number, plural
from repro.records.schema import RowResults

ALPHA = 0.05
MOST_SEEDS = 500  # nobody runs more; beyond it the number is only bounded
FEW = 25  # fewer rows than this on which the two disagree: the exact test, as is usual


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An outcome and why; `placed` says of each part on which side it misses, None for one that holds.

    `among` is how many runs of a reference the parts were placed among.
    """

    outcome: Outcome
    why: str
    placed: Mapping[str, Direction | None] = field(default_factory=dict)
    among: int = 0

    @property
    def parts(self) -> set[str]:
        """The parts that deviate."""
        return {part for part, direction in self.placed.items() if direction}

    @property
    def direction(self) -> Direction | None:
        """The side on which it deviates, `different` where its parts do so on several."""
        return common(direction for direction in self.placed.values() if direction)


def common(directions: Iterable[Direction]) -> Direction | None:
    """Return the one direction of all, `different` where there are several, None where there is none."""
    met = set(directions)
    return "different" if len(met) > 1 else next(iter(met), None)


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
            return f"{plural(more, 'more seed')} would decide if that share stays"
    return f"not even {MOST_SEEDS} more seeds would decide if that share stays"


def conclude(by_part: Mapping[str, list[Direction | None]], why: str) -> Judgement:
    """Conclude from each part's seeds, None for one that holds and else the direction in which it misses.

    A part whose seeds agree is decided; where they disagree, the sign test decides between holding and missing.
    """
    placed: dict[str, Direction | None] = {}
    undecided = share = ""
    for part, directions in by_part.items():
        placed[part] = common(direction for direction in directions if direction)
        if len(set(directions)) > 1:
            holding, n = directions.count(None), len(directions)
            decided = majority(holding, n)
            share = f"{holding} of {n} seeds hold: "
            if decided is None and not undecided:
                undecided = f"the seeds disagree, {holding} of {n} hold: {more_seeds_for_majority(holding, n)}; "
            if decided is not False:
                placed[part] = None
    if any(placed.values()):
        return Judgement(outcome=Outcome.DEVIATES, why=share + why, placed=placed)
    if undecided:
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=undecided + why)
    return Judgement(outcome=Outcome.REPRODUCED, why=share + why)


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Return McNemar's two-sided p of the rows on which one alone is right.

    It is exact below 25 such rows, else chi-square with continuity correction.
    """
    discordant = first_alone + second_alone
    if discordant < FEW:
        return two_sided_binomial(first_alone, discordant)
    return erfc(max(abs(first_alone - second_alone) - 1, 0) / sqrt(2 * discordant))


def pair(first: RowResults, second: RowResults) -> tuple[int, int] | None:
    """Return on how many rows the first alone and the second alone is right; None where their rows are not the same."""
    n = len(first.labels)
    if not n or first.labels != second.labels or not n == len(first.predictions) == len(second.predictions):
        return None
    rows = zip(first.labels, first.predictions, second.predictions, strict=True)
    hits = Counter((a == label, b == label) for label, a, b in rows)
    return hits[True, False], hits[False, True]


def judge_ordering(claim: Claim, cohort: Cohort, cohorts: Sequence[Cohort]) -> Judgement:
    """Compare each seed's rows with the newest other classifier's on the same corpus and weights.

    A seed holds if it is ahead significantly and by more than the claim's margin, misses if it is behind
    significantly, and is open else; seeds that hold and seeds that do not are weighed by the sign test.
    """
    than = claim.than or ""
    others = [c for c in cohorts if c.material == cohort.material and c.values(than)]
    if not others:
        why = f"nothing to compare with: {than.partition(':')[0]} has no such record for these weights"
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=why)
    other = sorted(others, key=lambda c: (c.setup == cohort.setup, c.newest))[-1]
    ours, theirs = (
        [rows for rows in of.values(address or "") or [] if isinstance(rows, RowResults)]
        for of, address in ((cohort, claim.rows), (other, claim.than_rows))
    )
    if not ours or not theirs:
        return Judgement(outcome=Outcome.INCONCLUSIVE, why="the records hold no predictions of rows to pair")
    if len(theirs) != len(ours):
        theirs = [theirs[0]] * len(ours)  # a baseline that draws nothing is recorded once
    pairs = [p for a, b in zip(ours, theirs, strict=True) if (p := pair(a, b))]
    if len(pairs) < len(ours):
        return Judgement(outcome=Outcome.NOT_COMPARABLE, why="the two were not scored on the same rows")
    return _weigh(pairs, len(ours[0].labels), claim.tolerance_of(""))


def _weigh(pairs: Sequence[tuple[int, int]], rows: int, margin: float) -> Judgement:
    tested = [((b - c) / rows, mcnemar(b, c)) for b, c in pairs]
    clear = [lead for lead, p_value in tested if p_value <= ALPHA and not 0 <= lead <= margin]
    decided: list[Direction | None] = [None if lead > margin else "low" for lead in clear]
    n, ahead = len(pairs), decided.count(None)
    (lead, p), (ours, theirs) = min(zip(tested, pairs, strict=True), key=lambda seed: seed[0][0])
    why = (
        f"{f'the least of {n} seeds: ' if n > 1 else ''}McNemar on {rows:,} rows: right alone {ours} to {theirs}, "
        f"p {'< 0.0001' if p < 1e-4 else f'= {p:.4f}'}; ahead by {number(lead)}, margin {number(margin)}"  # noqa: PLR2004
    )
    if not decided:
        significant = "significant, but no more than the margin" if p <= ALPHA else "not significant"
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=f"{why}; {significant}, and more seeds add no rows")
    if len(decided) < n and not majority(ahead, n):
        needed = more_seeds_for_majority(ahead, n)
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=f"{ahead} of {n} seeds hold: {needed}; {why}")
    return conclude({"ahead": decided}, why)
