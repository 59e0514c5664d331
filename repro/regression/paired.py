"""Quality by pairs: two sets of seeds on the same rows, and whether the candidate is worse by more than a margin.

Accuracy and weighted F1 are averaged over the seeds of either side; the difference is candidate minus baseline. Where
the lower end of its 95 % interval is above minus one point, it holds. Else, where its upper end at 1.25 % is below 0,
it is a regression (half of 2.5 %: a fine-tuning is scored on two splits, either of which can raise the alarm). Else it
is undecided. The noise has two sources, and the wider of two intervals counts:

- Seeds are the clusters: each gives one mean over the rows. Their variance is that within the two sides, moderated by
  the independent reruns of the seminar's recipe, which count as PRIOR_SEEDS further degrees of freedom (a moderated t,
  Smyth 2004, doi:10.2202/1544-6115.1027): two seeds tell little of a spread, and one tells nothing. The prior is weak
  because a recipe may spread more than the reruns do: they all drew one order of rows. Seeds are not paired.
- Rows: the spread of the difference when rows are drawn again with replacement, the same rows for every seed of both
  sides, which is what pairs them. Rows of the same answers are drawn together, from a multinomial: the same bootstrap.

The tests simulate it and print the alarms. A section that no seed enters (`linear`) has rows as its only noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist, fmean, variance
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.claims.catalogue import reruns
from repro.errors import RecordError
from repro.records.schema import RowResults
from repro.stats import t_quantile

MARGIN = 0.01  # three times the spread between seeds, and what a reader would call another result ("around 92 %")
PASSING, ACCUSING = 0.025, 0.0125  # one-sided levels
PRIOR_SEEDS = 8  # degrees of freedom of the reruns' spread: chosen by the simulation in the tests
FIGURES = {"accuracy": "accuracy_2", "weighted F1": "f1_2"}  # the column of the reruns for each measure
DRAWS = 1000  # of rows; the standard error is then known to 1 / sqrt(2 x 1000) = 2 %
SLACK = 1e-9  # 0.6335 - 0.6435 is -0.01 less rounding of the machine's

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One measure of both sides: a score a seed, and the standard error of their difference over rows alone.

    `seeded` tells whether another seed gives another result.
    """

    measure: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    rows_error: float
    seeded: bool = True

    @property
    def value(self) -> float:
        """Candidate minus baseline: below 0 is worse."""
        return fmean(self.after) - fmean(self.before)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the seeds' spread."""
        return PRIOR_SEEDS + len(self.before) + len(self.after) - 2

    @property
    def spread(self) -> float:
        """The standard deviation between seeds, moderated by that of the reruns."""
        own = sum(variance(side) * (len(side) - 1) for side in (self.before, self.after) if len(side) > 1)
        return sqrt((PRIOR_SEEDS * reruns().figure(FIGURES[self.measure]).sd ** 2 + own) / self.freedom)

    def half_width(self, alpha: float) -> float:
        """Return half the width of the interval that is one-sided at `alpha` at either end."""
        by_rows = NormalDist().inv_cdf(1 - alpha) * self.rows_error
        if not self.seeded:
            return by_rows
        seed_error = self.spread * sqrt(1 / len(self.before) + 1 / len(self.after))
        return max(by_rows, t_quantile(1 - alpha, self.freedom) * seed_error)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        return self.value - self.half_width(PASSING), self.value + self.half_width(PASSING)

    @property
    def holds(self) -> bool | None:
        """True: not worse by the margin; False: worse; None: these runs cannot tell."""
        if self.interval[0] > -MARGIN + SLACK:
            return True
        return False if self.value + self.half_width(ACCUSING) < 0 else None

    @property
    def seeds_to_decide(self) -> int:
        """How many seeds a side leave nothing undecided, if the noise stays what it is."""
        n, m = len(self.before), len(self.after)
        both = self.half_width(PASSING) + self.half_width(ACCUSING)
        return ceil(2 * (both / sqrt(1 / n + 1 / m) / MARGIN) ** 2)


def differences(
    baseline: Sequence[RowResults], candidate: Sequence[RowResults], *, seeded: bool, where: str
) -> list[Difference]:
    """Compare the seeds of both sides on their common rows; RecordError, naming `where`, where they differ."""
    labels = baseline[0].labels
    for rows in (*baseline, *candidate):
        if not labels or rows.labels != labels or len(rows.predictions) != len(labels):
            raise RecordError(
                f"the rows of {where} are not the same in all records: another number of them, or other labels",
                "Move the record whose rows are damaged out of its results folder.",
            )
    answers = np.array([labels, *(rows.predictions for rows in (*baseline, *candidate))], dtype=np.int64).T
    patterns, counts = np.unique(answers, axis=0, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(labels), counts / len(labels), size=DRAWS)
    weights = np.vstack([counts, drawn]).astype(np.float64)  # (1 + DRAWS, patterns): the rows themselves go first
    true, *predicted = patterns.T
    scores = np.array([_scores(weights, true, taken, np.unique(answers)) for taken in predicted])
    before, after = np.split(scores, [len(baseline)])  # each (seeds, measures, 1 + DRAWS)
    errors = (after.mean(axis=0) - before.mean(axis=0))[:, 1:].std(axis=1, ddof=1)
    return [
        Difference(
            measure=measure, before=tuple(before[:, i, 0].tolist()), after=tuple(after[:, i, 0].tolist()),
            rows_error=float(errors[i]), seeded=seeded,
        )
        for i, measure in enumerate(FIGURES)
    ]  # fmt: skip


def _scores(weights: Floats, labels: Any, predictions: Any, classes: Any) -> list[Floats]:
    """Accuracy and weighted F1, (draws,) each, of weighted patterns: weights (draws, patterns), the others (patterns,).

    The F1 of a class is 2 x hits / (rows of it + rows taken for it), weighted with the rows of it; one that is neither
    there nor predicted counts as 0, as in scikit-learn.
    """
    true = (labels[:, None] == classes).astype(np.float64)  # (patterns, classes)
    taken = (predictions[:, None] == classes).astype(np.float64)
    rows = weights.sum(axis=1)
    hits, support = weights @ (true * taken), weights @ true  # (draws, classes)
    either = support + weights @ taken
    f1 = np.divide(2 * hits, either, out=np.zeros_like(hits), where=either > 0)
    return [hits.sum(axis=1) / rows, (support * f1).sum(axis=1) / rows]
