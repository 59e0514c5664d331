"""Speed in turns: the rule on planted rounds, and by simulation of whole sessions whose truth is known."""

from __future__ import annotations

import sys
from math import log
from typing import Any

import numpy as np
import pytest

from repro.regression.session import Plan
from repro.regression.speed import FAMILY, MARGIN, Launches, accused, judge_speed, level, ratio
from repro.regression.verdict import Answer
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


def answer(first: Launches, again: Launches | None = None) -> Answer:
    return judge_speed({"step": first}, {} if again is None else {"step": again})[0].answer


def test_unchanged_code_holds_and_a_fifth_slower_fails_when_measured_twice() -> None:
    assert answer(launches()) is Answer.HOLDS
    assert accused({"step": launches(1.2)}) == ["step"]
    assert answer(launches(1.2), launches(1.2, seed=1)) is Answer.REGRESSION


def test_an_accusation_that_a_fresh_measurement_does_not_confirm_fails_nothing() -> None:
    judged = judge_speed({"step": launches(1.2)}, {"step": launches(1.0, seed=1)})[0]
    assert judged.answer is Answer.HOLDS
    assert "does not confirm" in judged.why


def test_a_benchmark_is_said_to_be_slower_and_whether_measured_twice() -> None:
    def why(first: Launches, again: Launches | None = None) -> str:
        return judge_speed({"step": first}, {} if again is None else {"step": again})[0].why

    assert why(launches()) == "not slower by the margin"
    assert why(launches(1.2)) == "slower by more than the margin"
    assert why(launches(1.2), launches(1.3, seed=1)).startswith("slower by more than the margin, measured twice: × 1.2")
    assert why(launches(1.2), launches(seed=1)).startswith("accused at × 1.2")


def test_a_machine_of_half_the_speed_changes_nothing() -> None:
    slow, fast = launches(pace=2.0), launches()
    assert answer(slow) is answer(fast) is Answer.HOLDS
    assert ratio(slow, 0.05).value == pytest.approx(ratio(fast, 0.05).value)


def test_one_disturbed_round_a_launch_moves_nothing() -> None:
    disturbed = [[(a, 9 * b) if i == 2 else (a, b) for i, (a, b) in enumerate(pairs)] for pairs in launches()]
    assert answer(disturbed) is Answer.HOLDS
    assert ratio(disturbed, 0.05).value == pytest.approx(1, abs=0.03)


def test_what_lies_near_the_margin_is_undecided_and_says_how_many_launches_decide() -> None:
    judged = judge_speed({"step": launches(1.03, noise=0.08)}, {})[0]
    assert judged.answer is Answer.UNDECIDED
    assert "launches would decide" in judged.why


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
