"""Turns: what is timed of a loop that other processes interrupt."""

from __future__ import annotations

from multiprocessing import Pipe

from benchmarks.steps import GROUP, SETTLE, spread_batches
from benchmarks.turns import WARM_UP, Turn


def test_a_step_to_settle_is_no_round_and_its_seconds_are_in_none() -> None:
    parent, child = Pipe()
    turn = Turn(child, settle=1)
    for _ in range(2):
        parent.send(True)
    turn.begin()
    turn._begun -= 1_000  # as long as preparation and the first step took
    turn.done(step=1)
    assert not parent.poll()
    turn.done(step=2)
    found = parent.recv()
    assert found.facts == {"step": 2}
    assert found.seconds < 1_000


def test_preparation_is_in_no_round() -> None:
    parent, child = Pipe()
    turn = Turn(child)
    for _ in range(2):
        parent.send(True)
    turn.begin()
    turn._begun -= 1_000
    turn.prepared()
    turn.done()
    assert parent.recv().seconds < 1_000


def test_timed_batches_lie_evenly_over_a_group_each_behind_its_neighbour() -> None:
    taken = spread_batches(10)[WARM_UP * (SETTLE + 1) :]
    assert taken[1::2] == [2, 7, 12, 17, 22, 27, 32, 37, 42, 47]
    assert taken[0::2] == [number - 1 for number in taken[1::2]]
    assert max(spread_batches(GROUP)) == GROUP - 1
