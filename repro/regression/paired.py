"""Quality by pairs: two sets of seeds on the same rows, and whether the candidate is worse by more than a margin.

What is asked. Accuracy and weighted F1 are averaged over the seeds of either side; the difference is candidate
minus baseline. Its 95 % interval is held against no difference and against a drop of one point:

- its lower end is above the drop: shown not to be worse by a point (non-inferiority, 2.5 % a side), holds;
- else the difference is below 0 by more than 2.24 standard errors: a regression, since a point is not ruled out;
- else these runs cannot tell: undecided, and it says how many seeds could.

2.24 are 1.25 % a side, half of 2.5 %, because a fine-tuning is scored on two splits and either can raise the alarm;
to pass, both must hold, which needs no such share. So the same code is accused, and a drop of a point passed, in at
most 2.5 % of cases whatever the number of seeds: what too few seeds cost is decisions, not errors. (For noise that is
no larger than it is taken to be. Accuracy and weighted F1 are judged both and move nearly as one; the tests simulate
whole comparisons and print the rates.)

The noise has two sources, and the larger of two standard errors counts.

- Rows: the spread of the difference when rows are drawn again with replacement, the same rows for every seed of both
  sides, which is what pairs them. Rows of the same answers are drawn together, from a multinomial: the same bootstrap.
- Seeds: SD x sqrt(1/n + 1/m), with the SD pooled within the sides, because a seed may also train better or worse as a
  whole. Two or three seeds tell little of an SD and one tells nothing, so it is never taken to be smaller than that of
  98 independent reruns of the seminar's recipe, 0.0031 for accuracy and 0.0030 for weighted F1.

They are not added up: a row that is right with one seed and wrong with the next is in both. In the committed `minilm`
runs such rows are all there is to see: by rows alone two runs differ with a standard error of 0.0034 to 0.0048, by
98 reruns with 0.0031 x sqrt(2) = 0.0044. Seeds are not paired: seed 3 of other code is another draw. An experiment that
no seed enters (`linear`) has rows as its only noise.

Why one point: three times the spread between seeds, and what a reader would call another result ("around 92 %"). Three
seeds a side on 2,000 rows nearly always decide it: 1.96 + 2.24 standard errors of 0.0031 x sqrt(2/3) are 0.0106.
Intermediate epochs are not judged, because their rows are not recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import variance
from typing import TYPE_CHECKING, Any

from repro.errors import RecordError
from repro.records.record import RowResults

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MARGIN = 0.01
LEAST_SEED_SD = {"accuracy": 0.0031, "weighted F1": 0.0030}  # of 98 independent reruns of the seminar's recipe
QUANTILE = 1.959964  # of the normal distribution at 97.5 %: what is shown, and what a pass needs
ACCUSING = 2.241403  # at 98.75 %: what a regression needs, two splits sharing 2.5 %
DRAWS = 1000  # of rows; the standard error is then known to 1 / sqrt(2 x 1000) = 2 %
SLACK = 1e-9  # 0.6335 - 0.6435 is -0.01 less rounding of the machine's


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One measure's means over the seeds of both sides, and candidate minus baseline with its standard error."""

    measure: str
    baseline: float
    candidate: float
    error: float
    seeds: tuple[int, int]

    @property
    def value(self) -> float:
        """Candidate minus baseline: below 0 is worse."""
        return self.candidate - self.baseline

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        return self.value - QUANTILE * self.error, self.value + QUANTILE * self.error

    @property
    def holds(self) -> bool | None:
        """True: not worse by the margin; False: worse; None: these runs cannot tell."""
        if self.interval[0] > -MARGIN + SLACK:
            return True
        return False if self.value + ACCUSING * self.error < 0 else None

    @property
    def seeds_to_decide(self) -> int:
        """How many seeds a side leave nothing undecided, if the noise stays what it is."""
        n, m = self.seeds
        spread = self.error / sqrt(1 / n + 1 / m)
        return ceil(2 * ((QUANTILE + ACCUSING) * spread / MARGIN) ** 2)


def differences(
    baseline: Sequence[RowResults], candidate: Sequence[RowResults], *, seeded: bool, where: str
) -> list[Difference]:
    """Compare the seeds of both sides on their common rows; RecordError, naming `where`, where rows are not the same.

    `seeded` tells whether another seed gives another result.
    """
    import numpy as np

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
    classes = np.unique(answers)
    scores = [_scores(weights, patterns[:, 0], patterns[:, 1 + i], classes) for i in range(answers.shape[1] - 1)]
    sides = len(baseline), len(candidate)
    found = []
    for measure, least in LEAST_SEED_SD.items():
        ours = np.array([by_measure[measure] for by_measure in scores])  # (seeds of both sides, 1 + DRAWS)
        means = ours[: sides[0]].mean(axis=0), ours[sides[0] :].mean(axis=0)
        error = float(np.std(means[1][1:] - means[0][1:], ddof=1))
        if seeded:
            observed = ours[: sides[0], 0].tolist(), ours[sides[0] :, 0].tolist()
            spread = max(least, pooled_sd(*observed))
            error = max(error, spread * sqrt(1 / sides[0] + 1 / sides[1]))
        found.append(
            Difference(
                measure=measure,
                baseline=float(means[0][0]),
                candidate=float(means[1][0]),
                error=error,
                seeds=sides,
            )
        )
    return found


def pooled_sd(*sides: Sequence[float]) -> float:
    """Return the standard deviation within the sides, 0 where none has two values."""
    freedom = sum(len(values) - 1 for values in sides)
    squares = sum(variance(values) * (len(values) - 1) for values in sides if len(values) > 1)
    return sqrt(squares / freedom) if freedom else 0.0


def _scores(weights: Floats, labels: Any, predictions: Any, classes: Any) -> dict[str, Floats]:
    """Accuracy and weighted F1, (draws,) each, of weighted patterns: weights (draws, patterns), the others (patterns,).

    The F1 of a class is 2 x hits / (rows of it + rows taken for it), weighted with the rows of it; one that is neither
    there nor predicted counts as 0, as in scikit-learn.
    """
    import numpy as np

    true = (labels[:, None] == classes).astype(np.float64)  # (patterns, classes)
    taken = (predictions[:, None] == classes).astype(np.float64)
    rows = weights.sum(axis=1)
    hits, support = weights @ (true * taken), weights @ true  # (draws, classes)
    either = support + weights @ taken
    f1 = np.divide(2 * hits, either, out=np.zeros_like(hits), where=either > 0)
    return {"accuracy": hits.sum(axis=1) / rows, "weighted F1": (support * f1).sum(axis=1) / rows}
