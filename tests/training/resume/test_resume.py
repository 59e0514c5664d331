"""A training that is cut off anywhere and resumed ends as it would have without, to the last bit."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import Accelerator

from repro.errors import InterruptedRunError, ResultsError
from repro.training import loop
from repro.training.device import make_accelerator
from repro.training.epochs import Training
from repro.training.resume import checkpointer as checkpointer_module
from repro.training.resume import snapshot
from repro.training.resume import state as states
from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy
from tests.training import trial as trial_module
from tests.training.trial import Killed, Trial, asked_to_stop, cut_off, plant_fp16

# what the progress bars count: 6 steps of an epoch, 6 batches of its evaluation, and the same again
MOMENTS = {
    "before the first save": 2, "in the middle of an epoch": 5, "at an epoch's end": 6, "in an evaluation": 8,
    "at a step that was saved": 14, "after the last step": 18, "in the last evaluation": 20,
}  # fmt: skip


def elsewhere(trial: Trial, name: str) -> Trial:
    return replace(trial, folder=trial.folder / name, lines=[])


@pytest.mark.parametrize("batching", ["packed", "dynamic", "padded"])
def test_cut_off_at_any_moment_it_ends_as_it_would_have_without(trial: Trial, batching: str) -> None:
    trial = replace(trial, context=trial.context.changed(batching=batching))
    expected, _ = elsewhere(trial, "undisturbed").train()
    for moment, at in MOMENTS.items():
        again = elsewhere(trial, str(at))
        with pytest.raises(Killed):
            again.train(progress=cut_off(at), save_every=4)
        assert again.train(save_every=4)[0] == expected, moment


def test_cut_off_again_and_again_it_still_ends_the_same(trial: Trial) -> None:
    expected, _ = elsewhere(trial, "undisturbed").train()
    for at in (5, 4, 9):  # counted from where each part starts, the steps that it passes over too
        with pytest.raises(Killed):
            trial.train(progress=cut_off(at), save_every=4)
    resumed, checkpointer = trial.train(save_every=4)
    assert resumed == expected
    assert checkpointer.facts() == {"resumed_after_steps": [4, 6]}  # the second part left nothing behind
    assert trial.lines[0].startswith("resuming finetune, seed 0 after step 4 of 12 (saved 20")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("at", "saved"), [(2, 3), (8, 6)])  # in a step, in an evaluation
def test_asked_to_stop_it_finishes_the_step_saves_and_leaves(
    trial: Trial, number: signal.Signals, code: int, at: int, saved: int
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(InterruptedRunError, match="Start the same command again") as stopped:
        trial.train(progress=asked_to_stop(at, number))
    assert stopped.value.exit_code == code
    assert f"its state after step {saved} is saved" in str(stopped.value)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    resumed, checkpointer = trial.train()
    assert checkpointer.resumed_after == [saved]
    assert resumed == elsewhere(trial, "undisturbed").train()[0]


def test_stopped_before_its_first_step_it_says_that_nothing_was_saved(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "load_classifier", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRunError, match="was stopped; nothing of it was saved yet"):
        trial.train()
    assert not (trial.folder / "unfinished").exists()


@pytest.mark.usefixtures("interruptible")
def test_a_second_sigterm_does_not_cost_the_step_in_hand(trial: Trial) -> None:
    with pytest.raises(InterruptedRunError, match="its state after step 3 is saved") as stopped:
        trial.train(progress=asked_to_stop(2, signal.SIGTERM, times=2))
    assert stopped.value.exit_code == 143


def test_by_the_clock_costly_states_are_few_but_the_last_step_has_one(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    write_state = states.write_state

    def noted(*arguments: Any, **named: Any) -> Path:
        saved.append(named["step"])
        return write_state(*arguments, **named)

    monkeypatch.setattr(states, "write_state", noted)
    elsewhere(trial, "every").train(epochs=3, save_every=100)
    monkeypatch.setattr(checkpointer_module, "SHARE", 10**9)
    elsewhere(trial, "clock").train(epochs=3)
    assert saved == [6, 12, 18, 6, 18]


def test_by_the_clock_saving_stays_near_two_percent_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpointer_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(snapshot, "capture", lambda training: ({}, {}))
    accelerator = make_accelerator(device="cpu", precision="fp32")
    checkpointer = Checkpointer(tmp_path, "x", {}, accelerator, CheckpointPolicy())

    def waits_after(step: int, *, cost: float, epoch_ends: bool) -> float:
        """How long a state is not due again after one that took `cost` to save."""
        training: Any = SimpleNamespace(step=step, steps=9, epoch_ends=epoch_ends)
        with monkeypatch.context() as patch:
            patch.setattr(states, "write_state", lambda *_, **__: now.__setitem__(0, now[0] + cost))
            checkpointer.save(training)
        begun = now[0]
        while not checkpointer.is_due(training):
            now[0] += 1
        return now[0] - begun

    assert waits_after(1, cost=2, epoch_ends=True) == 100  # 2 s of 102
    assert waits_after(2, cost=2, epoch_ends=False) == 100
    assert waits_after(3, cost=0, epoch_ends=False) == 60
    assert waits_after(4, cost=0, epoch_ends=True) == 0
    assert waits_after(9, cost=2, epoch_ends=True) == 0  # the last step


def test_the_time_of_saving_is_not_the_epochs(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    now, save = [0.0], Checkpointer.save
    saved: list[Training] = []

    def asked() -> float:
        now[0] += 1
        return now[0]

    def slow(checkpointer: Checkpointer, training: Training) -> None:
        save(checkpointer, training)
        now[0] += 1000
        saved.append(training)

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=asked))
    monkeypatch.setattr(Checkpointer, "save", slow)
    trial.train(save_every=4)
    assert len(saved) == 4  # after 4, 6, 8 and 12
    assert [result.epoch.train_seconds for result in saved[0].results] == [6, 6]  # one a step


def test_a_disk_that_refuses_states_is_reported_once_and_costs_nothing(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    expected, _ = elsewhere(trial, "undisturbed").train()
    monkeypatch.setattr(states, "write_state", full)
    outcome, checkpointer = trial.train(save_every=4)
    assert outcome == expected
    assert checkpointer.facts() == {"states_not_saved": 4}  # after 4, 6, 8 and 12
    assert [line[:74] for line in trial.lines] == [
        "the state after step 4 could not be saved (No space left on device); there"
    ]


def test_loss_scaling_is_resumed_bit_for_bit(trial: Trial) -> None:
    scales: list[float] = []

    def plant(accelerator: Accelerator) -> None:
        plant_fp16(accelerator, init_scale=2.0**24, growth_interval=3)  # so high that the first steps overflow
        update = accelerator.scaler.update

        def update_and_note() -> None:
            update()
            scales.append(accelerator.scaler.get_scale())

        accelerator.scaler.update = update_and_note

    trial = replace(trial, plant=plant)
    expected, _ = elsewhere(trial, "undisturbed").train()
    undisturbed = list(scales)
    assert min(undisturbed) < 2.0**24
    assert len(set(undisturbed)) > 2
    with pytest.raises(Killed):
        trial.train(progress=cut_off(10), save_every=4)
    scales.clear()
    assert trial.train(save_every=4)[0] == expected
    assert scales == undisturbed[6:]


def test_a_training_without_a_folder_for_its_states_is_refused(trial: Trial) -> None:
    (trial.folder / "unfinished").write_text("")
    with pytest.raises(ResultsError, match="cannot save the states of finetune, seed 0"):
        trial.train()
