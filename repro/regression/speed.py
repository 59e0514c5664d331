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
from math import ceil, exp, inf, log, sqrt
from statistics import fmean, median, stdev

from repro.regression.verdict import Answer, Comparison
from repro.stats import t_quantile

MARGIN = 0.05
FAMILY = 0.05  # false alarms over all benchmarks of a session
MOST_LAUNCHES = 200  # more are not worth naming

Pairs = Sequence[tuple[float, float]]  # seconds of baseline and candidate, a round each
Launches = Sequence[Pairs]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Candidate over baseline with both ends of its interval; below 1 is faster."""

    value: float
    interval: tuple[float, float]
    launches: int

    def slower(self, margin: float) -> bool | None:
        """True: slower by more than the margin; False: shown not to be; None: these launches cannot tell."""
        if self.interval[0] > 1 + margin:
            return True
        return False if self.interval[1] <= 1 + margin else None

    def launches_to_decide(self, margin: float) -> float:
        """Return about how many launches would decide, if the noise stays what it is; infinite at the margin itself."""
        away, half = abs(log(self.value / (1 + margin))), log(self.interval[1] / self.value)
        return max(self.launches + 1, ceil(self.launches * (half / away) ** 2)) if away else inf


def level(benchmarks: int) -> float:
    """Return the one-sided level of each of the two measurements of that many benchmarks."""
    return sqrt(FAMILY / benchmarks)


def ratio(launches: Launches, alpha: float) -> Ratio:
    """Return candidate over baseline, its interval one-sided at `alpha` at either end; at least two launches."""
    means = [trimmed_mean([log(after / before) for before, after in pairs]) for pairs in launches]
    center = fmean(means)
    half = t_quantile(1 - alpha, len(means) - 1) * stdev(means) / sqrt(len(means))
    return Ratio(value=exp(center), interval=(exp(center - half), exp(center + half)), launches=len(means))


def trimmed_mean(values: Sequence[float]) -> float:
    """Return the mean without the smallest and the largest, where there are five or more."""
    return fmean(sorted(values)[1:-1] if len(values) > 4 else values)  # noqa: PLR2004


def judge_speed(
    first: Mapping[str, Launches], again: Mapping[str, Launches], *, margin: float = MARGIN
) -> list[Comparison]:
    """Judge every benchmark on its first measurement and, where that accused it, on the fresh one too."""
    alpha = level(len(first))
    return [_judge(name, launches, again.get(name), alpha, margin) for name, launches in first.items()]


def accused(first: Mapping[str, Launches], *, margin: float = MARGIN) -> list[str]:
    """Return the benchmarks that a measurement accuses: they are measured a second time."""
    return [name for name, launches in first.items() if ratio(launches, level(len(first))).slower(margin)]


def _judge(name: str, launches: Launches, again: Launches | None, alpha: float, margin: float) -> Comparison:
    measured = ratio(launches, alpha)
    slower, why = measured.slower(margin), "not slower by the margin"
    answer = {True: Answer.REGRESSION, False: Answer.HOLDS, None: Answer.UNDECIDED}[slower]
    if slower and again is not None:
        first, measured = measured, ratio(again, alpha)
        if measured.slower(margin):
            why = f"slower by more than the margin, measured twice: × {first.value:.2f}, then × {measured.value:.2f}"
        else:
            answer = Answer.UNDECIDED if measured.slower(margin) is None else Answer.HOLDS
            why = f"accused at × {first.value:.2f}, which a second, fresh measurement does not confirm"
    elif slower:
        why = "slower by more than the margin"
    elif slower is None:
        wanted = measured.launches_to_decide(margin)
        why = "slower by the margin or not: " + (
            f"about {wanted:.0f} launches would decide" if wanted < MOST_LAUNCHES else "too close to the margin to tell"
        )
    pairs = [pair for launch in launches for pair in launch]
    return Comparison(
        section="speed", name=name, measure="time of a round", setup="", answer=answer, why=why,
        baseline=f"{median(a for a, _ in pairs):.4g} s", candidate=f"{median(b for _, b in pairs):.4g} s",
        difference=measured.value, interval=measured.interval, limit=1 + margin,
    )  # fmt: skip
