"""Speed by rounds: against scipy's exact test, and on planted slowdowns, slow machines, outliers and noise."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from repro.benchfiles import Benchmark
from repro.regression import rounds
from repro.regression.rounds import dropped_ratios, ratio, why_not_comparable, why_not_judged

HERE = (("processor", "AMD EPYC"), ("threads", "2"), ("torch", "2.13.0"))


def benchmark(
    seconds: Sequence[float], calibration: Sequence[float] | None = None, machine: tuple[tuple[str, str], ...] = HERE
) -> Benchmark:
    return Benchmark(
        name="benchmarks/test_step.py::test_step", short="test_step", way=(), rounds=tuple(seconds),
        calibration=None if calibration is None else tuple(calibration), machine=machine,
        written=datetime(2026, 1, 1, tzinfo=UTC), file=Path("0001.json"),
    )  # fmt: skip


def measured(seed: int, seconds: float, *, pace: float = 1.0) -> Benchmark:
    """Rounds of a task on a machine of a pace: both, and each calibration, with 3 % of noise."""
    random = np.random.default_rng(seed)
    noise = random.lognormal(0, 0.03, (2, 7))
    return benchmark((seconds * pace * noise[0]).tolist(), (0.1 * pace * noise[1]).tolist())


@pytest.mark.parametrize(("n", "m"), [(3, 3), (2, 5), (4, 7), (10, 10), (13, 8), (30, 30)])
def test_the_interval_leaves_out_what_the_exact_test_allows(n: int, m: int) -> None:
    dropped = dropped_ratios(n, m)
    assert dropped is not None
    for u, within in ((dropped, True), (dropped + 1, False)):
        above = [max(0, min(m, u - i * m)) for i in range(n)]  # how many of the m each of the n exceeds: u in all
        sample = [count + 0.5 + i * 1e-3 for i, count in enumerate(above)]
        tested = mannwhitneyu(sample, range(1, m + 1), alternative="less", method="exact")
        assert tested.statistic == u
        assert bool(tested.pvalue <= 0.05 + 1e-12) is within


def test_many_rounds_are_approximated_to_within_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for n, m in ((60, 50), (20, 120), (100, 100)):
        approximate = dropped_ratios.__wrapped__(n, m) or 0
        with monkeypatch.context() as exactly:
            exactly.setattr(rounds, "MOST_EXACT", n * m)
            assert abs((dropped_ratios.__wrapped__(n, m) or 0) - approximate) <= 1


def test_a_slowdown_of_30_percent_is_caught() -> None:
    for seed in range(50):
        found = ratio(measured(seed, 1.0), measured(1000 + seed, 1.3))
        assert found.slower(1.10) is True
        assert found.interval[0] > 1


def test_a_machine_of_half_the_speed_is_no_regression_and_hides_none() -> None:
    slow = ratio(measured(0, 1.0), measured(1, 1.0, pace=2.0))
    assert slow.value == pytest.approx(1, abs=0.05)
    assert slow.slower(1.10) is False
    assert ratio(measured(0, 1.0), measured(1, 1.3, pace=2.0)).slower(1.10) is True
    assert ratio(measured(0, 1.0), measured(1, 1.3, pace=0.5)).slower(1.10) is True


def test_noise_alone_raises_no_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    alarms = significant = 0
    for seed in range(1000):
        found = ratio(measured(seed, 1.0), measured(5000 + seed, 1.0))
        significant += found.interval[0] > 1
        alarms += found.slower(1.10) is True
    with capsys.disabled():
        sys.stdout.write(f"\nnoise of 3 %: {significant / 1000} beyond chance, {alarms / 1000} beyond 1.10 too\n")
    assert significant <= 70  # 5 % allowed, and three standard errors of 1000 trials
    assert alarms == 0


@pytest.mark.parametrize("disturbed", ["baseline", "candidate"])
def test_one_disturbed_round_neither_raises_an_alarm_nor_hides_a_slowdown(disturbed: str) -> None:
    before = [1.0, 1.01, 1.02, 0.99, 1.03, 1.0]
    same, slow = [1.01, 1.0, 0.98, 1.02, 1.03, 1.0], [1.3, 1.31, 1.29, 1.33, 1.32, 1.3]
    if disturbed == "baseline":
        before[2] = 9.0
    else:
        same[2], slow[2] = 9.0, 9.0
    assert ratio(benchmark(before), benchmark(same)).slower(1.10) is False
    assert ratio(benchmark(before), benchmark(slow)).slower(1.10) is True


def test_a_large_effect_that_may_be_chance_is_undecided() -> None:
    found = ratio(benchmark([1.0, 1.4, 0.9]), benchmark([1.3, 1.35, 1.2]))
    assert found.value == pytest.approx(1.3)
    assert found.slower(1.10) is None


def test_too_few_rounds_are_not_judged_and_three_a_side_are_enough() -> None:
    one, two, three = benchmark([1.0]), benchmark([1.0, 1.0]), benchmark([1.0, 1.1, 1.2])
    assert why_not_judged(one, three) == "one round, no interval: not judged"
    assert why_not_judged(two, three) == "2 and 3 rounds are too few for an interval: not judged"
    assert why_not_judged(three, three) is None


def test_seconds_without_calibration_are_compared_on_the_same_machine_only() -> None:
    raw, calibrated = benchmark([1.0] * 5), benchmark([1.0] * 5, [0.1] * 5)
    assert why_not_comparable(raw, raw) is None
    assert why_not_comparable(raw, calibrated) is None  # the same machine: raw on both sides
    for name, value in (("processor", "Xeon"), ("threads", "8"), ("torch", "2.14.0")):
        other = tuple((key, value if key == name else was) for key, was in HERE)
        reason = why_not_comparable(raw, benchmark([1.0] * 5, machine=other)) or ""
        assert reason.startswith("not comparable, because neither is calibrated")
        assert f"{name} was {dict(HERE)[name]} and is {value}" in reason
        assert why_not_comparable(calibrated, benchmark([1.0] * 5, [0.2] * 5, machine=other)) is None
    assert "a processor is not named" in (why_not_comparable(raw, benchmark([1.0] * 5, machine=())) or "")


def test_a_gpu_is_never_held_against_a_cpu() -> None:
    gpu = benchmark([1.0] * 5, [0.1] * 5, machine=(*HERE, ("accelerator", "H200")))
    assert "the CPU and the candidate on a GPU" in (why_not_comparable(benchmark([1.0] * 5, [0.1] * 5), gpu) or "")


def test_a_hundred_thousand_rounds_are_answered_at_once() -> None:
    many = np.random.default_rng(0).lognormal(0, 0.1, (2, 100_000))
    found = ratio(benchmark(many[0].tolist()), benchmark((1.2 * many[1]).tolist()))
    assert found.slower(1.10) is True
    assert found.value == pytest.approx(1.2, abs=0.01)
    assert found.interval[0] < found.value < found.interval[1]
