"""One session of the gate: two checkouts timed in turns, launch by launch and round by round, and judged.

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

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from math import exp, log, sqrt
from statistics import fmean, median, stdev

from repro.errors import NotComparableError
from repro.regression.checkouts import Checkout
from repro.regression.verdict import MARGIN, SIDES, Answer, Comparison, Selection
from repro.regression.workers import Round, Worker, interleave
from repro.stats import t_quantile

FAMILY = 0.05  # false alarms over all benchmarks of a session
THREADS = 1  # threads wait for one another at every operation: on a shared machine that times its neighbours
ANSWERS = {
    True: (Answer.REGRESSION, "slower by more than the margin"),
    False: (Answer.HOLDS, "not slower by the margin"),
    None: (Answer.UNDECIDED, "these launches can't tell whether it is slower by the margin"),
}

Launches = Sequence[Sequence[tuple[float, float]]]  # of rounds: seconds of baseline and candidate
Seconds = dict[str, list[list[tuple[float, float]]]]  # the launches by benchmark


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured: processes a side, rounds of each benchmark in each, and the seed of the random order."""

    launches: int = 6
    rounds: int = 6
    seed: int = 0


QUICK = Plan(launches=5, rounds=5)


@dataclass(frozen=True, kw_only=True)
class Session:
    """What was measured, and what of it a second time."""

    first: Seconds
    again: Seconds = field(default_factory=dict)
    absent: tuple[tuple[str, str], ...] = ()  # benchmark, and the side that lacks it


def run_session(
    baseline: Checkout,
    candidate: Checkout,
    selection: Selection,
    *,
    plan: Plan,
    margin: float = MARGIN,
    say: Callable[[str], None] = lambda line: None,
) -> Session:
    """Measure what both sides have, and what that accuses a second time in fresh processes."""
    order = random.Random(plan.seed)  # noqa: S311 (an order of measuring, no secret)
    checkouts = dict(zip(SIDES, (baseline, candidate), strict=True))

    def measure(names: Sequence[str]) -> Seconds:
        seconds: Seconds = {name: [] for name in names}
        for launch in range(plan.launches if names else 0):
            say(f"launch {launch + 1} of {plan.launches}")
            with ExitStack() as stack:
                workers = {}
                for side in order.sample(SIDES, len(SIDES)):
                    worker = Worker(side, checkouts[side].folder, checkouts[side].python, threads=THREADS)
                    workers[side] = stack.enter_context(closing(worker))
                    worker.benchmarks()
                for name in order.sample(names, len(names)):
                    rounds = interleave(workers, dict.fromkeys(SIDES, name), plan.rounds, order=order)
                    seconds[name].append(_pairs(name, rounds))
        return seconds

    known: dict[str, list[str]] = {}
    for side, checkout in checkouts.items():
        with closing(Worker(checkout.name, checkout.folder, checkout.python)) as worker:
            known[side] = worker.benchmarks()
    names = list(dict.fromkeys(name for side in SIDES for name in known[side]))
    selection.check(names)
    selected = [name for name in names if selection.includes(name)]
    absent = tuple((name, side) for name in selected for side in SIDES if name not in known[side])
    first = measure([name for name in selected if all(name in known[side] for side in SIDES)])
    suspects = accused(first, margin=margin)
    if suspects:
        say(f"accused, measured again: {', '.join(suspects)}")
    return Session(first=first, again=measure(suspects), absent=absent)


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


def judge_session(session: Session, selection: Selection, *, margin: float = MARGIN) -> list[Comparison]:
    """Judge what both sides have by its first measurement and, where that accused it, the fresh one; name the rest."""
    judged, alpha = [], level(max(len(session.first), 1))
    for name, launches in session.first.items():
        measured = accusation = ratio(launches, alpha)
        slower = accusation.slower(margin)
        answer, why = ANSWERS[slower]
        if slower and name in session.again:
            measured = ratio(session.again[name], alpha)
            slower = measured.slower(margin)
            answer = ANSWERS[slower][0]
            why = f"accused at × {accusation.value:.2f}, which a second, fresh measurement does not confirm"
            if slower:
                why = f"{ANSWERS[slower][1]}, measured twice: × {accusation.value:.2f}, then × {measured.value:.2f}"
        before, after = zip(*(pair for rounds in launches for pair in rounds), strict=True)
        judged.append(
            Comparison(
                section="speed", name=name, measure="time of a round", answer=answer, why=why,
                baseline=f"{median(before):.4g} s", candidate=f"{median(after):.4g} s",
                difference=measured.value, interval=measured.interval, limit=1 + margin,
            )
        )  # fmt: skip
    return judged + [selection.absent(side, section="speed", name=name) for name, side in session.absent]


def describe(session: Session, plan: Plan) -> str:
    """Return what was measured and how often such a session accuses what did not change, in one line."""
    count = len(session.first)
    chance = f"each at {level(count):.1%} twice: false alarms over all at most {FAMILY:.0%}" if count else "none"
    return f"{plan.launches} launches a side, {plan.rounds} rounds each; {count} benchmarks, {chance}"


def _pairs(name: str, rounds: Mapping[str, Sequence[Round]]) -> list[tuple[float, float]]:
    pairs = list(zip(*(rounds[side] for side in SIDES), strict=True))
    if any(before.facts.get("rows") != after.facts.get("rows") for before, after in pairs):
        raise NotComparableError(
            f"{name}: the two sides took other rows in the same round, so their seconds can't be compared",
            "Compare with a revision that draws the same batches, or exclude it with --only.",
        )
    return [(before.seconds, after.seconds) for before, after in pairs]
