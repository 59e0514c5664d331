"""Rounds that were measured in turn, given to pytest-benchmark as if it had timed them itself.

pytest-benchmark runs all rounds of one function, then all of the next, so a machine that gets slower in between makes
the later one look slow. Here the rounds come first, interleaved; a clock that shows their seconds then leaves
statistics, tables and files to pytest-benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import peak
from benchmarks.turns import Round


class Clock:
    """Seconds that pass only when a round is replayed; give it as `pytest.mark.benchmark(timer=CLOCK)`."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Let seconds pass."""
        self.now += seconds


CLOCK = Clock()


def replay(
    benchmark: BenchmarkFixture, rounds: Sequence[Round], calibration: Sequence[Round] | None = None, **facts: Any
) -> None:
    """Give the rounds to pytest-benchmark; what they say of themselves goes into `extra_info`, a list a fact.

    `calibration` are the rounds of `peak.multiply` from the same run: `calibration_seconds` are of one multiplication
    of `calibration_flop` operations, so that times of different machines can be compared.
    """
    waiting = [r.seconds for r in rounds]
    benchmark.pedantic(lambda: CLOCK.pass_by(waiting.pop(0)), rounds=len(waiting), iterations=1)
    benchmark.extra_info.update({name: [r.facts[name] for r in rounds] for name in rounds[0].facts})
    benchmark.extra_info.update({"peak_mib": [r.peak_mib for r in rounds], **facts})
    if calibration:
        benchmark.extra_info.update(
            calibration_seconds=[r.facts["fastest"] for r in calibration], calibration_flop=peak.FLOP
        )
