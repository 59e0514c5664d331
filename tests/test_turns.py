"""Turns: what is timed of a loop that other processes interrupt, and what a worker answers."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.steps import GROUP, SETTLE, spread_batches
from benchmarks.turns import Ended, Turn
from benchmarks.worker import BENCHMARKS
from repro.errors import NotComparableError
from repro.regression.workers import WARM_UP, Worker, interleave

ROOT = Path(__file__).parents[1]


def turn(rounds: int, **options: int) -> tuple[Turn, list[Any]]:
    requests, answers = iter([{"round": True}] * rounds + [{"stop": True}]), list[Any]()
    return Turn(lambda: next(requests), answers.append, **options), answers


def test_a_step_to_settle_is_in_no_round() -> None:
    steps, answers = turn(1, settle=1)
    steps.begin()
    steps._started -= 1_000  # as long as preparation and the first step took
    steps.done(step=1)
    assert answers == []
    with pytest.raises(Ended):
        steps.done(step=2)
    assert answers[0]["facts"] == {"step": 2}
    assert answers[0]["seconds"] < 1_000


def test_a_round_of_several_steps_adds_up_what_they_say() -> None:
    steps, answers = turn(2, repeat=3)
    steps.begin()
    for rows in (1, 2, 4, 8, 16):
        steps.done(rows=rows)
    with pytest.raises(Ended):
        steps.done(rows=32)
    assert [answer["facts"]["rows"] for answer in answers] == [7, 56]


def test_timed_batches_lie_evenly_over_a_group_each_behind_its_neighbour() -> None:
    taken = spread_batches(10)[WARM_UP * (SETTLE + 1) :]
    assert taken[1::2] == [2, 7, 12, 17, 22, 27, 32, 37, 42, 47]
    assert taken[0::2] == [number - 1 for number in taken[1::2]]
    assert max(spread_batches(GROUP)) == GROUP - 1


@pytest.fixture
def workers() -> Iterator[dict[str, Worker]]:
    started = {name: Worker(name, ROOT, sys.executable) for name in ("one", "other")}
    yield started
    for worker in started.values():
        worker.close()


def test_two_workers_take_the_same_rows_whatever_the_batching(workers: dict[str, Worker]) -> None:
    for worker in workers.values():
        assert worker.benchmarks() == list(BENCHMARKS)
    work = {"one": "step[tiny-packed]", "other": "step[tiny-dynamic]"}
    rounds = interleave(workers, work, 2, order=random.Random(0))  # noqa: S311
    rows = {name: [r.facts["rows"] for r in timed] for name, timed in rounds.items()}
    assert rows["one"] == rows["other"]
    assert len(set(rows["one"])) == 2
    again = interleave(workers, dict.fromkeys(workers, "step[tiny-packed]"), 2, order=random.Random(1))  # noqa: S311
    assert [r.facts["rows"] for r in again["other"]] == rows["one"]  # a benchmark that was stopped starts anew


def test_a_worker_that_fails_says_why(workers: dict[str, Worker]) -> None:
    workers["one"].benchmarks()
    workers["one"].send(start={"work": "benchmarks.nowhere:work"})
    with pytest.raises(NotComparableError, match=r"one ended early, exit code 1: ModuleNotFoundError.*nowhere"):
        workers["one"].answer()
