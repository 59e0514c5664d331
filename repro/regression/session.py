"""One session of the gate: two checkouts timed in turns, launch by launch and round by round."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from repro.errors import NotComparableError
from repro.regression.checkouts import Checkout
from repro.regression.speed import FAMILY, MARGIN, accused, judge_speed, level
from repro.regression.verdict import Comparison, Selection
from repro.regression.workers import Round, Worker, interleave

SIDES = ("baseline", "candidate")
THREADS = 1  # threads wait for one another at every operation: on a shared machine that times its neighbours
Seconds = dict[str, list[list[tuple[float, float]]]]  # by benchmark: launches of rounds of (baseline, candidate)


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
    again: Seconds
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


def judge_session(session: Session, selection: Selection, *, margin: float = MARGIN) -> list[Comparison]:
    """Judge what was measured, and what one side lacks."""
    judged = judge_speed(session.first, session.again, margin=margin)
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
