"""A training that is cut off anywhere and resumed ends as it would have without, to the last bit."""

from __future__ import annotations

import errno
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from repro.errors import InterruptedRunError, ResultsError
from repro.training.resume import checkpointer as checkpointer_module
from repro.training.resume import state as states
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
