"""Speed by rounds: two sets of rounds of one benchmark, and whether the candidate is slower.

What is compared. Every round's seconds are divided by those of the machine's own calibration, a fixed matrix
multiplication timed in the same round, so that a machine of half the speed is no regression. The effect is the ratio
of the medians, candidate over baseline: a median does not follow one round that something disturbed.

The interval is the Mann-Whitney test turned round (Hodges and Lehmann 1963, on ratios): the ratios of every candidate
round to every baseline round, sorted, less as many at either end as the test's exact distribution allows. It asks
nothing of the noise's shape, from six rounds a side on it bears a disturbed one, and no random number enters. It is of
90 %, 5 % a side: three rounds against three, which is what three seeds give, are just enough then (complete separation
has a chance of 1 in 20), and the threshold makes a false alarm rarer than that. Where even complete separation would
prove nothing, nothing is judged.

A regression is both: slower beyond chance (interval above 1) and by more than the threshold. It is 1.10 unless set
otherwise: the rounds of one run of the committed fine-tuning, in which nothing changed, differ by 6.5 % (388.2 to
413.6 s), and 10 % is the next round figure.

Without a calibration on both sides seconds are compared as they are, between the same processors and libraries only.
Rounds of one session share what disturbs that session: the calibration takes it out, raw seconds keep it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import comb, floor, sqrt
from statistics import median

from repro.benchfiles import Benchmark

THRESHOLD = 1.10
ALPHA = 0.05  # one-sided
QUANTILE = 1.644854  # of the normal distribution at 95 %
MOST_ROUNDS = 200  # a side; more are thinned to their quantiles: an interval that is never too narrow, in no time
MOST_EXACT = 2000  # pairs up to which the test's distribution is counted out


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Candidate over baseline: of the medians, and its 90 % interval; below 1 is faster."""

    value: float
    interval: tuple[float, float]
    calibrated: bool

    def slower(self, threshold: float) -> bool | None:
        """True: slower, beyond chance and threshold; None: beyond the threshold, which may be chance; else False."""
        if self.value <= threshold:
            return False
        return True if self.interval[0] > 1 else None


def why_not_judged(baseline: Benchmark, candidate: Benchmark) -> str | None:
    """Return why these rounds give no interval, in words, or None."""
    n, m = len(baseline.rounds), len(candidate.rounds)
    if 1 in (n, m):
        return "one round, no interval: not judged"
    if dropped_ratios(n, m) is None:
        return f"{n} and {m} rounds are too few for an interval: not judged"
    return None


def why_not_comparable(baseline: Benchmark, candidate: Benchmark) -> str | None:
    """Return what keeps the two times from being compared, in words, or None."""
    machines = dict(baseline.machine), dict(candidate.machine)
    devices = ["a GPU" if "accelerator" in machine else "the CPU" for machine in machines]
    if devices[0] != devices[1]:
        return f"not comparable, because the baseline ran on {devices[0]} and the candidate on {devices[1]}"
    if baseline.calibration and candidate.calibration:
        return None
    uncalibrated = "the baseline" if candidate.calibration else "the candidate" if baseline.calibration else "neither"
    told = "neither is calibrated" if uncalibrated == "neither" else f"{uncalibrated} is not calibrated"
    if not all("processor" in machine for machine in machines):
        return f"not comparable, because {told} and a processor is not named"
    for name in dict.fromkeys((*machines[0], *machines[1])):
        was, now = (machine.get(name, "not named") for machine in machines)
        if was != now:
            return f"not comparable, because {told} and {name} was {was} and is {now}"
    return None


def ratio(baseline: Benchmark, candidate: Benchmark) -> Ratio:
    """Return the ratio of two benchmarks that can be judged and compared."""
    calibrated = bool(baseline.calibration and candidate.calibration)
    before, after = (_times(side, calibrated=calibrated) for side in (baseline, candidate))
    kept = _thinned(before), _thinned(after)
    ratios = sorted(b / a for a in kept[0] for b in kept[1])
    drop = dropped_ratios(len(kept[0]), len(kept[1])) or 0
    return Ratio(
        value=median(after) / median(before),
        interval=(ratios[drop], ratios[-1 - drop]),
        calibrated=calibrated,
    )


@cache
def dropped_ratios(n: int, m: int) -> int | None:
    """Return how many of the n x m sorted ratios lie outside the interval at either end; None where there is none.

    The largest c with P(U <= c) <= 5 %, U being the statistic of Mann and Whitney.
    """
    n, m = sorted((n, m))
    if n * m > MOST_EXACT:
        return floor(n * m / 2 - QUANTILE * sqrt(n * m * (n + m + 1) / 12) - 0.5)
    # ways to have U = u: the coefficients of the Gaussian binomial, the product of (1 - q^(m+i)) / (1 - q^i)
    ways = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            ways[u] -= ways[u - m - i]
        for u in range(i, n * m + 1):
            ways[u] += ways[u - i]
    allowed = ALPHA * comb(n + m, n)
    within = sum(total <= allowed for total in accumulate(ways))
    return within - 1 if within else None


def _times(benchmark: Benchmark, *, calibrated: bool) -> list[float]:
    if not calibrated or benchmark.calibration is None:
        return sorted(benchmark.rounds)
    return sorted(a / b for a, b in zip(benchmark.rounds, benchmark.calibration, strict=True))


def _thinned(times: Sequence[float]) -> Sequence[float]:
    if len(times) <= MOST_ROUNDS:
        return times
    return [times[floor((i + 0.5) * len(times) / MOST_ROUNDS)] for i in range(MOST_ROUNDS)]
