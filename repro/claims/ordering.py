"""“Beats”: McNemar's test on the predictions that two classifiers made for the same rows, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, erfc, sqrt

from repro.claims.claim import Claim, Direction, Outcome
from repro.claims.cohorts import Cohort, malformed
from repro.claims.seeds import ALPHA, Judgement, conclude, majority, more_seeds_for_majority, two_sided_binomial
from repro.claims.wording import number
from repro.records.schema import RowResults

FEW = 25  # fewer rows than this on which the two disagree: the exact test, as is usual
Z = 1.959964  # of a two-sided test at ALPHA


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two classifiers on the same n rows: on how many only the one, and only the other, is right."""

    n: int
    only_first: int
    only_second: int

    @property
    def lead(self) -> float:
        """The difference of their accuracies."""
        return (self.only_first - self.only_second) / self.n

    @property
    def p_value(self) -> float:
        """McNemar's two-sided p: exact below 25 rows of disagreement, chi-square with continuity correction else."""
        discordant = self.only_first + self.only_second
        if discordant < FEW:
            return two_sided_binomial(self.only_first, discordant)
        chi_square = max(abs(self.only_first - self.only_second) - 1, 0) ** 2 / discordant
        return erfc(sqrt(chi_square / 2))


def pair(first: RowResults, second: RowResults) -> Paired | None:
    """Pair the predictions of two classifiers; None where their rows are not the same."""
    if first.labels != second.labels or not first.labels:
        return None
    hits = [
        (a == label, b == label)
        for label, a, b in zip(first.labels, first.predictions, second.predictions, strict=True)
    ]
    return Paired(n=len(hits), only_first=hits.count((True, False)), only_second=hits.count((False, True)))


def judge_ordering(claim: Claim, cohort: Cohort, cohorts: Sequence[Cohort]) -> Judgement:
    """Compare each seed's rows with the newest other classifier's on the same corpus and weights.

    A seed holds if it is ahead significantly and by more than the claim's margin, misses if it is behind
    significantly, and is open else; seeds that hold and seeds that do not are weighed by the sign test.
    """
    than, experiment = claim.than or "", (claim.than or "").split(":", 1)[0]
    others = [c for c in cohorts if c.material == cohort.material and c.values(than)]
    others.sort(key=lambda c: (c.setup == cohort.setup, c.newest))
    if not others:
        why = f"nothing to compare with: {experiment} has no such record for these weights"
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=why)
    ours, theirs = _rows(cohort, claim.rows), _rows(others[-1], claim.than_rows)
    if not ours or not theirs:
        return Judgement(outcome=Outcome.INCONCLUSIVE, why="the records hold no predictions of rows to pair")
    if len(theirs) != len(ours):
        theirs = [theirs[0]] * len(ours)  # a baseline that draws nothing is recorded once
    pairs = [pair(a, b) for a, b in zip(ours, theirs, strict=True)]
    paired = [p for p in pairs if p is not None]
    if len(paired) < len(pairs):
        return Judgement(outcome=Outcome.NOT_COMPARABLE, why="the two were not scored on the same rows")
    return _weigh(paired, claim.tolerance_of(""))


def _rows(cohort: Cohort, address: str | None) -> list[RowResults]:
    rows = cohort.values(address or "") or []
    for row in rows:
        if not isinstance(row, RowResults) or len(row.labels) != len(row.predictions):
            raise malformed(str(address), "a prediction for every row")
    return rows


def _weigh(pairs: Sequence[Paired], margin: float) -> Judgement:
    open_ = [_is_open(p, margin) for p in pairs]
    ahead = sum(p.lead > margin and not o for p, o in zip(pairs, open_, strict=True))
    least = min(pairs, key=lambda p: p.lead)
    why = (
        f"McNemar on {least.n:,} rows: right alone {least.only_first} to {least.only_second}, "
        f"p {_p(least.p_value)}; ahead by {number(least.lead)}, margin {number(margin)}"
    )
    if len(pairs) > 1:
        why = f"the least of {len(pairs)} seeds: {why}"
    undecided = sum(open_)
    if undecided == len(pairs):
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=f"{why}; {_what_would_decide(least, margin)}")
    if undecided and not majority(ahead, len(pairs)):
        needed = more_seeds_for_majority(ahead, len(pairs))
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=f"{ahead} of {len(pairs)} seeds hold: {needed}; {why}")
    directions: list[Direction | None] = [
        None if p.lead > margin else "low" for p, o in zip(pairs, open_, strict=True) if not o
    ]
    return conclude({"ahead": directions}, why)


def _is_open(paired: Paired, margin: float) -> bool:
    return paired.p_value > ALPHA or 0 <= paired.lead <= margin


def _what_would_decide(paired: Paired, margin: float) -> str:
    """Say what an open seed needs: the rows are the same for every seed, so that more seeds add none."""
    if paired.p_value <= ALPHA:
        return f"significant, but no more than the margin; more seeds with this lead would say the same ({margin:g})"
    if paired.lead == 0:
        return "a tie: neither more seeds nor more rows decide it while it stays"
    z = (abs(paired.only_first - paired.only_second) - 1) / sqrt(paired.only_first + paired.only_second)
    rows = ceil(paired.n * (Z / max(z, 0.01)) ** 2)
    return f"not significant, and more seeds add no rows: about {rows:,} rows would decide at this lead"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"= {value:.4f}"  # noqa: PLR2004
