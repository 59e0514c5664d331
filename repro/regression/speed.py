"""Speed in turns: paired rounds of two checkouts, launch by launch, and whether the candidate is slower.

The unit is the logarithm of candidate over baseline in one round: the same rows, seconds apart, so that whatever slows
the machine slows both. The rounds of a launch share that launch's memory layout and thread placement, so launches are
the clusters: each gives one number, the mean of its log ratios without the smallest and the largest (one disturbed
round moves nothing), and Student's t over launches gives the interval.

A benchmark is accused where the lower end of the interval lies beyond the margin. It fails only if a second, fresh
measurement accuses it too. Each measurement of K benchmarks tests at sqrt(FAMILY / K): two independent accusations of
one benchmark have a chance of at most FAMILY / K, and one of any of the K at most FAMILY, where nothing is slower by
more than the margin. The tests simulate the whole rule and print alarms and power.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import fmean, median, stdev

from repro.regression.verdict import Answer, Comparison
from repro.stats import t_quantile

MARGIN = 0.05
FAMILY = 0.05  # false alarms over all benchmarks of a session
ANSWERS = {True: Answer.REGRESSION, False: Answer.HOLDS, None: Answer.UNDECIDED}
WHY = {
    True: "slower by more than the margin",
    False: "not slower by the margin",
    None: "these launches can't tell whether it is slower by the margin",
}

Launches = Sequence[Sequence[tuple[float, float]]]  # of rounds: seconds of baseline and candidate


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Candidate over baseline with both ends of its interval; below 1 is faster."""

    value: float
    interval: tuple[float, float]

    def slower(self, margin: float) -> bool | None:
        """True: slower by more than the margin; False: shown not to be; None: these launches cannot tell."""
        if self.interval[0] > 1 + margin:
            return True
        return False if self.interval[1] <= 1 + margin else None


def level(benchmarks: int) -> float:
    """Return the one-sided level of each of the two measurements of that many benchmarks."""
    return sqrt(FAMILY / benchmarks)


def ratio(launches: Launches, alpha: float) -> Ratio:
    """Return candidate over baseline, its interval one-sided at `alpha` at either end; at least two launches."""
    means = []
    for rounds in launches:
        logs = sorted(log(after / before) for before, after in rounds)
        means.append(fmean(logs[1:-1] if len(logs) > 4 else logs))  # noqa: PLR2004 (too few to drop any)
    center, half = fmean(means), t_quantile(1 - alpha, len(means) - 1) * stdev(means) / sqrt(len(means))
    return Ratio(value=exp(center), interval=(exp(center - half), exp(center + half)))


def accused(first: Mapping[str, Launches], *, margin: float = MARGIN) -> list[str]:
    """Return the benchmarks that a measurement accuses: they are measured a second time."""
    return [name for name, launches in first.items() if ratio(launches, level(len(first))).slower(margin)]


def judge_speed(
    first: Mapping[str, Launches], again: Mapping[str, Launches], *, margin: float = MARGIN
) -> list[Comparison]:
    """Judge every benchmark on its first measurement and, where that accused it, on the fresh one too."""
    judged = []
    for name, launches in first.items():
        measured = accusation = ratio(launches, level(len(first)))
        slower = accusation.slower(margin)
        why = WHY[slower]
        if slower and name in again:
            measured = ratio(again[name], level(len(first)))
            slower = measured.slower(margin)
            why = f"accused at × {accusation.value:.2f}, which a second, fresh measurement does not confirm"
            if slower:
                why = f"{WHY[True]}, measured twice: × {accusation.value:.2f}, then × {measured.value:.2f}"
        before, after = zip(*(pair for rounds in launches for pair in rounds), strict=True)
        judged.append(
            Comparison(
                section="speed", name=name, measure="time of a round", answer=ANSWERS[slower], why=why,
                baseline=f"{median(before):.4g} s", candidate=f"{median(after):.4g} s",
                difference=measured.value, interval=measured.interval, limit=1 + margin,
            )
        )  # fmt: skip
    return judged
