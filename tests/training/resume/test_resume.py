"""A training that is cut off anywhere and resumed ends as it would have without, to the last bit."""

from __future__ import annotations

import errno
import os
import signal
from collections import deque
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import Accelerator

from repro.errors import InterruptedRunError
from repro.training import loop
from repro.training.epochs import Training
from repro.training.resume import checkpointer as checkpointer_module
from repro.training.resume import state as states
from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy
from tests.training.trial import DoAt, Runs, accelerator, cut_off, fp16

# what the progress bars count: 6 steps of an epoch, 6 batches of its evaluation, and the same again
MOMENTS = {
    "before the first save": 2, "in the middle of an epoch": 5, "at an epoch's end": 6, "in an evaluation": 8,
    "at a step that was saved": 14, "after the last step": 18, "in the last evaluation": 20,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """SIGINT as in a terminal: a shell lets what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("batching", ["packed", "dynamic", "padded"])
def test_cut_off_at_any_moment_it_ends_as_it_would_have_without(runs: Runs, batching: str) -> None:
    runs = runs.elsewhere(batching, batching=batching)
    expected = runs.undisturbed()
    for moment, at in MOMENTS.items():
        again = runs.elsewhere(str(at))
        again.cut_off(at=at)
        assert again.whole(again.finetune()) == expected, moment


def test_cut_off_again_and_again_it_still_ends_the_same(runs: Runs) -> None:
    for at in (5, 4, 9):  # counted from where each part starts, the steps that it passes over too
        runs.cut_off(at=at)
    resumed = runs.finetune()
    assert runs.whole(resumed) == runs.undisturbed()
    assert resumed.facts["resumed_after_steps"] == [4, 6]  # the second part left nothing behind
    assert runs.lines[0].startswith("resuming finetune, seed 0 after step 4 of 12 (saved 20")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("at", "saved"), [(2, 3), (8, 6), (20, 12)])  # in a step, in evaluations
def test_asked_to_stop_it_finishes_the_step_saves_and_leaves(
    runs: Runs, number: signal.Signals, code: int, at: int, saved: int
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def ask() -> None:
        for _ in range(2 if number == signal.SIGTERM else 1):  # a launcher's second one does not cost the step in hand
            os.kill(os.getpid(), number)

    message = rf"(?s)after step {saved} is saved.*Start the same command again"
    with pytest.raises(InterruptedRunError, match=message) as stop:
        runs.finetune(progress=DoAt(at, ask), save_every=None)
    assert stop.value.exit_code == code
    assert runs.lines[0].endswith("stops after the step or phase in hand; a second Ctrl-C ends it now")
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    resumed = runs.finetune(save_every=None)
    assert resumed.facts["resumed_after_steps"] == [saved]
    assert runs.whole(resumed) == runs.undisturbed()


def test_asked_to_stop_while_it_loads_it_takes_no_step(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = loop._prepare

    def ask(*arguments: Any, **options: Any) -> Training:
        signal.raise_signal(signal.SIGTERM)
        return prepare(*arguments, **options)

    monkeypatch.setattr(loop, "_prepare", ask)
    with pytest.raises(InterruptedRunError, match="nothing of it was saved yet"):
        runs.finetune(progress=cut_off(1))


def test_by_the_clock_saving_stays_near_two_percent_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpointer_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    checkpointer = Checkpointer(tmp_path, "x", {}, accelerator(), CheckpointPolicy())

    def waits_after(step: int, *, cost: float, epoch_ends: bool) -> float:
        """How long a state is not due again after one that took `cost` to save."""
        training: Any = SimpleNamespace(step=step, steps=9, epoch_ends=epoch_ends, capture=dict)
        with monkeypatch.context() as patch:
            patch.setattr(states, "write_state", lambda *_, **__: now.__setitem__(0, now[0] + cost))
            checkpointer.save(training)
        start = now[0]
        while not checkpointer.is_due(training):
            now[0] += 1
        return now[0] - start

    assert waits_after(1, cost=2, epoch_ends=True) == 100  # 2 s of 102
    assert waits_after(2, cost=2, epoch_ends=False) == 100
    assert waits_after(3, cost=0, epoch_ends=False) == 60
    assert waits_after(4, cost=0, epoch_ends=True) == 0
    assert waits_after(9, cost=2, epoch_ends=True) == 0  # the last step


def test_seconds_are_those_of_the_steps_and_of_the_evaluation_not_of_saving(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, save = count(), Checkpointer.save  # a clock that goes on by a second each time it is asked
    saved: list[Training] = []

    def slow(checkpointer: Checkpointer, training: Training) -> None:
        save(checkpointer, training)
        deque(islice(clock, 1000), maxlen=0)
        saved.append(training)

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    monkeypatch.setattr(Checkpointer, "save", slow)
    runs.finetune()
    assert len(saved) == 4  # after 4, 6, 8 and 12
    assert [(result.epoch.train_seconds, result.evaluate_seconds) for result in saved[0].results] == [(6, 1), (6, 1)]


def test_a_disk_that_refuses_states_is_reported_once_and_costs_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = runs.undisturbed()
    monkeypatch.setattr(states, "write_state", full)
    record = runs.finetune()
    assert runs.whole(record) == expected
    assert record.facts["states_not_saved"] == 4  # after 4, 6, 8 and 12
    (line,) = runs.lines
    assert line.startswith("the state after step 4 could not be saved (No space left on device); those before it stay")


def test_loss_scaling_is_resumed_bit_for_bit(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    scales: list[float] = []

    def make(**_: object) -> Accelerator:
        own = fp16(init_scale=2.0**24, growth_interval=3)  # so high that the first steps overflow
        update = own.scaler.update

        def update_and_note() -> None:
            update()
            scales.append(own.scaler.get_scale())

        own.scaler.update = update_and_note
        return own

    monkeypatch.setattr("repro.training.device.make_accelerator", make)
    whole = runs.elsewhere("whole")
    expected = whole.whole(whole.finetune())
    undisturbed = list(scales)
    assert min(undisturbed) < 2.0**24
    assert len(set(undisturbed)) > 2
    runs.cut_off(at=10)
    scales.clear()
    assert runs.whole(runs.finetune()) == expected
    assert scales == undisturbed[6:]
