"""Speed in turns: the rule on planted rounds, and by simulation of whole sessions whose truth is known."""

from __future__ import annotations

import sys
from math import log
from typing import Any

import numpy as np
import pytest

from repro.regression.session import (
    FAMILY,
    Launches,
    Plan,
    Session,
    accused,
    judge_session,
    level,
    ratio,
)
from repro.regression.verdict import MARGIN, Answer, Comparison, Selection
from repro.stats import t_quantile

PLAN = Plan()
BENCHMARKS = 18
SESSIONS = 2_000
Floats = Any


def launches(factor: float = 1.0, *, seed: int = 0, pace: float = 1.0, noise: float = 0.02) -> Launches:
    """Rounds whose batches differ threefold, on a machine of a pace, the candidate slower by a factor."""
    random = np.random.default_rng(seed)
    batches = np.linspace(0.1, 0.3, PLAN.rounds)
    times = pace * batches * random.lognormal(0, noise, (2, PLAN.launches, PLAN.rounds))
    times[1] *= factor
    return [list(zip(a, b, strict=True)) for a, b in zip(times[0].tolist(), times[1].tolist(), strict=True)]


def judge(first: Any, again: Any = None) -> Comparison:
    """What is said of one benchmark."""
    session = Session(first={"step": first}, again={"step": again} if again else {})
    return judge_session(session, Selection())[0]


@pytest.mark.parametrize(
    ("first", "again", "answer", "why"),
    [
        (launches(), None, Answer.HOLDS, "not slower by the margin"),
        (launches(1.2), None, Answer.REGRESSION, "slower by more than the margin"),
        (launches(1.2), launches(1.3, seed=1), Answer.REGRESSION, "slower by more than the margin, measured twice"),
        (launches(1.2), launches(seed=1), Answer.HOLDS, "accused at × 1.21, which a second, fresh measurement does"),
        (launches(1.2), launches(1.03, noise=0.08), Answer.UNDECIDED, "accused at × 1.21, which a second"),
        (launches(1.03, noise=0.08), None, Answer.UNDECIDED, "these launches can't tell"),
    ],
)  # fmt: skip
def test_a_benchmark_fails_only_where_a_fresh_measurement_accuses_it_too(
    first: Launches, again: Launches | None, answer: Answer, why: str
) -> None:
    judged = judge(first, again)
    assert judged.answer is answer
    assert judged.why.startswith(why)
    assert accused({"step": first}) == (["step"] if why.startswith(("slower", "accused")) else [])


def test_neither_a_machine_of_half_the_speed_nor_one_disturbed_round_a_launch_moves_anything() -> None:
    slow = launches(pace=2.0)
    assert judge(slow).answer is Answer.HOLDS
    assert ratio(slow, 0.05).value == pytest.approx(ratio(launches(), 0.05).value)
    disturbed = [[(a, 9 * b) if i == 2 else (a, b) for i, (a, b) in enumerate(pairs)] for pairs in launches()]
    assert judge(disturbed).answer is Answer.HOLDS
    assert ratio(disturbed, 0.05).value == pytest.approx(1, abs=0.03)


def test_the_interval_is_that_of_t_over_launch_means() -> None:
    pairs = [[(1.0, 1.1)] * 3, [(1.0, 1.2)] * 3, [(1.0, 1.3)] * 3]
    measured = ratio(pairs, 0.05)
    logs = np.log([1.1, 1.2, 1.3])
    half = t_quantile(0.95, 2) * logs.std(ddof=1) / 3**0.5
    assert measured.interval == pytest.approx((np.exp(logs.mean() - half), np.exp(logs.mean() + half)))


def accuse(rounds: Floats, alpha: float) -> Floats:
    """The rule on many sessions at once: log ratios (sessions, benchmarks, launches, rounds) -> accusations."""
    means = np.sort(rounds, axis=-1)[..., 1:-1].mean(axis=-1)
    error = means.std(axis=-1, ddof=1) / means.shape[-1] ** 0.5
    return means.mean(axis=-1) - t_quantile(1 - alpha, means.shape[-1] - 1) * error > log(1 + MARGIN)


def log_ratios(random: np.random.Generator, *, round_sd: float, launch_sd: float, run: float, slower: Floats) -> Floats:
    """Log ratios of whole sessions: rounds and launches of a side vary by themselves, the run's factor is shared."""
    shape = (SESSIONS, BENCHMARKS, PLAN.launches, PLAN.rounds)
    factor = random.normal(0, run, (SESSIONS, BENCHMARKS, 1, 1))
    sides = [
        factor + random.normal(0, launch_sd, (*shape[:3], 1)) + random.normal(0, round_sd, shape) for _ in range(2)
    ]
    return sides[1] - sides[0] + np.asarray(slower)[:, None, None]


def test_the_simulated_rule_is_the_one_in_use() -> None:
    random = np.random.default_rng(3)
    logs = random.normal(0.08, 0.05, (40, 1, PLAN.launches, PLAN.rounds))
    ours = [ratio([[(1.0, float(np.exp(x))) for x in launch] for launch in s[0]], 0.05).slower(MARGIN) for s in logs]
    assert [slower is True for slower in ours] == accuse(logs, 0.05)[:, 0].tolist()
    assert {True, None} <= set(ours)


@pytest.mark.parametrize("run", [0.0, 0.05, 0.10])
@pytest.mark.parametrize("launch_sd", [0.02, 0.03])
@pytest.mark.parametrize("round_sd", [0.08, 0.12])
def test_false_alarms_stay_below_5_percent_and_a_fifth_slower_is_caught(
    round_sd: float, launch_sd: float, run: float, capsys: pytest.CaptureFixture[str]
) -> None:
    random, alpha = np.random.default_rng(0), level(BENCHMARKS)
    noise = {"round_sd": round_sd, "launch_sd": launch_sd, "run": run}
    one_slower = np.log([1.2] + [1.0] * (BENCHMARKS - 1))
    both = np.logical_and(*(accuse(log_ratios(random, **noise, slower=one_slower), alpha) for _ in range(2)))
    at_margin = [log(1 + MARGIN)] * BENCHMARKS  # the worst that is no regression
    worst = np.logical_and(*(accuse(log_ratios(random, **noise, slower=at_margin), alpha) for _ in range(2)))
    alarms, worst_alarms, power = both[:, 1:].any(axis=1).mean(), worst.any(axis=1).mean(), both[:, 0].mean()
    with capsys.disabled():
        sys.stdout.write(
            f"\nround SD {round_sd:.0%}, launch SD {launch_sd:.0%}, run factor {run:.0%}, {BENCHMARKS} benchmarks: "
            f"false alarms {alarms:.2%}, all slower by just the margin {worst_alarms:.1%}, x1.2 caught {power:.1%}\n"
        )
    assert alarms <= FAMILY
    assert worst_alarms <= FAMILY + 2 * (FAMILY / SESSIONS) ** 0.5
    assert power >= 0.9
