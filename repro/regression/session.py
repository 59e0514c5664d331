"""One session of the gate: two checkouts timed in turns, launch by launch and round by round."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from repro.errors import NotComparableError
from repro.regression.checkouts import Checkout
from repro.regression.speed import FAMILY, MARGIN, accused, judge_speed, level
from repro.regression.verdict import Comparison, Selection
from repro.regression.workers import Round, Worker, interleave

SIDES = ("baseline", "candidate")
Seconds = dict[str, list[list[tuple[float, float]]]]  # by benchmark: launches of rounds of (baseline, candidate)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured: processes a side, rounds of each benchmark in each, and the seed of the random order."""

    launches: int = 6
    rounds: int = 6
    seed: int = 0


QUICK = Plan(launches=4, rounds=5)


@dataclass(frozen=True, kw_only=True)
class Session:
    """What was measured, and what of it a second time."""

    first: Seconds
    again: Seconds
    absent: tuple[tuple[str, str], ...]  # benchmark, and the side that lacks it


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
    have = [_benchmarks(side) for side in (baseline, candidate)]
    selection.check([*have[0], *have[1]])
    names = [name for name in dict.fromkeys((*have[0], *have[1])) if selection.includes(name)]
    absent = [(n, side) for n in names for side, known in zip(SIDES, have, strict=True) if n not in known]
    common = [name for name in names if name in have[0] and name in have[1]]
    first = _measure(baseline, candidate, common, plan, order, say)
    suspects = accused(first, margin=margin) if first else []
    if suspects:
        say(f"accused, measured again: {', '.join(suspects)}")
    again = _measure(baseline, candidate, suspects, plan, order, say) if suspects else {}
    return Session(first=first, again=again, absent=tuple(absent))


def judge_session(session: Session, selection: Selection, *, margin: float = MARGIN) -> list[Comparison]:
    """Judge what was measured, and what one side lacks."""
    judged = judge_speed(session.first, session.again, margin=margin) if session.first else []
    for name, side in session.absent:
        answer = selection.absent(name, from_baseline=side == "baseline")
        judged.append(
            Comparison(section="speed", name=name, measure="", setup="", answer=answer, why=f"the {side} lacks it")
        )
    return judged


def describe(session: Session, plan: Plan) -> str:
    """Return what was measured and how often such a session accuses what did not change, in one line."""
    count = len(session.first)
    chance = f"each at {level(count):.1%} twice: false alarms over all at most {FAMILY:.0%}" if count else "none"
    return f"{plan.launches} launches a side, {plan.rounds} rounds each; {count} benchmarks, {chance}"


def _measure(
    baseline: Checkout,
    candidate: Checkout,
    names: Sequence[str],
    plan: Plan,
    order: random.Random,
    say: Callable[[str], None],
) -> Seconds:
    seconds: Seconds = {name: [] for name in names}
    checkouts = dict(zip(SIDES, (baseline, candidate), strict=True))
    for launch in range(plan.launches):
        say(f"launch {launch + 1} of {plan.launches}")
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for side in order.sample(SIDES, len(SIDES)):
                workers[side] = Worker(side, checkouts[side].folder, checkouts[side].python)
                stack.callback(workers[side].close)
            for worker in workers.values():
                worker.benchmarks()
            for name in order.sample(names, len(names)):
                rounds = interleave(workers, dict.fromkeys(SIDES, name), plan.rounds, order=order)
                seconds[name].append(_pairs(name, rounds))
    return seconds


def _pairs(name: str, rounds: Mapping[str, Sequence[Round]]) -> list[tuple[float, float]]:
    pairs = list(zip(*(rounds[side] for side in SIDES), strict=True))
    for before, after in pairs:
        if before.facts.get("rows") != after.facts.get("rows"):
            raise NotComparableError(
                f"{name}: the two sides took other rows in the same round, so their seconds can't be compared",
                "Compare with a revision that draws the same batches, or exclude it with --only.",
            )
    return [(before.seconds, after.seconds) for before, after in pairs]


def _benchmarks(checkout: Checkout) -> list[str]:
    worker = Worker(checkout.name, checkout.folder, checkout.python)
    try:
        return worker.benchmarks()
    finally:
        worker.close()
