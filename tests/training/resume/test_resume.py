"""A training that is cut off anywhere and gone on with: it ends as it would have without, to the last bit."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from repro.assets.checkpoints import WEIGHTS, file_sha256
from repro.errors import InterruptedRunError, ResultsError
from repro.records.record import RunRecord, read_record, write_record
from repro.sections import once
from repro.sections.context import Context
from repro.sections.models import model_folder
from repro.sections.registry import EXPERIMENTS, run_and_record
from repro.training.progress import Advance, Progress
from repro.training.resume import keeper as keeping
from repro.training.resume import state as checkpointing
from repro.training.resume.keeper import Keeping

EVERY_4 = Keeping(save_every=4)
# what the progress bars count: 6 steps of an epoch, 6 batches of its evaluation, the same again, 6 batches of the test
MOMENTS = {
    "before the first save": 2, "in the middle of an epoch": 5, "at an epoch's end": 6, "in an evaluation": 8,
    "at a step that was saved": 14, "after the last step": 18, "in the last evaluation": 20, "in the test": 27,
}  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


class CutOff(Progress):
    """Kills the process that draws it at one of the advances of all its bars together."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.seen = at, 0

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        def advance(done: int, loss: Tensor | None) -> None:
            self.seen += 1
            if self.seen == self.at:
                raise Killed

        yield advance


@pytest.fixture
def context(tiny_context: Context, tmp_path: Path) -> Context:
    """Tiny in batches of 16 on 96 rows: six steps an epoch, two epochs."""
    return replace(tiny_context, recipe=replace(tiny_context.recipe, batch_size=16), save=tmp_path / "models")


def finetune(context: Context, results: Path, how: Keeping = EVERY_4, *, seed: int = 0) -> RunRecord | None:
    made = list(run_and_record([EXPERIMENTS["finetune"]], context, [seed], results, keeping=how))
    return made[0][0] if made else None


def result_of(record: RunRecord | None, context: Context) -> dict[str, Any]:
    """What a run measured, and its model file for file; not its seconds and how many parts it was made in."""
    assert record is not None
    whole = record.model_dump(include={"facts", "scores", "rows", "epochs", "run_key"})
    whole["facts"].pop("resumed_after_steps", None)
    for epoch in whole["epochs"]:
        del epoch["train_seconds"], epoch["tweets_per_second"]
    model = model_folder(context, record.settings.seed)
    return {**whole, "files": {file.name: file_sha256(file) for file in sorted(model.iterdir())}}


def undisturbed(context: Context, folder: Path) -> dict[str, Any]:
    elsewhere = replace(context, save=folder / "undisturbed-models")
    return result_of(finetune(elsewhere, folder / "undisturbed"), elsewhere)


@pytest.mark.parametrize("batching", ["packed", "dynamic", "padded"])
def test_cut_off_at_any_moment_a_run_ends_as_it_would_have_without(
    context: Context, tmp_path: Path, batching: str
) -> None:
    context = replace(context, batching=batching)
    expected = undisturbed(context, tmp_path)
    for moment, at in MOMENTS.items():
        results = tmp_path / str(at)
        with pytest.raises(Killed):
            finetune(replace(context, progress=CutOff(at)), results)
        record = finetune(context, results)
        assert result_of(record, context) == expected, moment
        assert not (results / "unfinished").exists(), moment
        shutil.rmtree(context.models)


def test_cut_off_again_and_again_it_still_ends_the_same_and_says_where_it_went_on(
    context: Context, tmp_path: Path
) -> None:
    expected = undisturbed(context, tmp_path)
    for at in (5, 4, 9):  # counted from where each part begins, the steps that it passes over too
        with pytest.raises(Killed):
            finetune(replace(context, progress=CutOff(at)), tmp_path / "results")
    record = finetune(context, tmp_path / "results")
    assert record is not None
    assert record.facts["resumed_after_steps"] == [4, 6]  # the second part left nothing behind
    assert result_of(record, context) == expected
    assert record.seconds["train"] == pytest.approx(sum(epoch.train_seconds for epoch in record.epochs))


def test_a_head_drawn_before_the_seed_is_the_same_when_the_run_goes_on(context: Context, tmp_path: Path) -> None:
    context = replace(context, protocol="as-published")
    with pytest.raises(Killed):
        finetune(replace(context, progress=CutOff(5)), tmp_path / "results")
    (state,) = (tmp_path / "results").glob("unfinished/*/step-*")
    drawn = json.loads((state / "numbers.json").read_text())["notes"]["head_seed"]
    record = finetune(context, tmp_path / "results")
    assert record is not None
    assert record.facts["head_seed"] == drawn


@pytest.fixture
def heard() -> Iterator[None]:
    """SIGINT as in a terminal: a shell lets what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("at", [2, 8])  # in a step, in an evaluation
def test_asked_to_stop_it_saves_the_step_in_hand_and_says_how_to_go_on(
    context: Context, tmp_path: Path, number: signal.Signals, code: int, at: int
) -> None:
    class Asked(CutOff):
        def __init__(self) -> None:
            super().__init__(at)

        @contextmanager
        def bar(self, what: str, total: int) -> Iterator[Advance]:
            def advance(done: int, loss: Tensor | None) -> None:
                self.seen += 1
                if self.seen == at:
                    os.kill(os.getpid(), number)

            yield advance

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(InterruptedRunError, match="Start the same command again") as stopped:
        finetune(replace(context, progress=Asked()), tmp_path / "results", Keeping())
    assert stopped.value.exit_code == code
    saved = 3 if at == 2 else 6
    assert f"its state after step {saved} is saved" in str(stopped.value)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    record = finetune(context, tmp_path / "results")
    assert record is not None
    assert record.facts["resumed_after_steps"] == [saved]
    assert result_of(record, context) == undisturbed(context, tmp_path)


def test_what_has_a_record_is_told_and_not_run_again_unless_it_is_asked_for(context: Context, tmp_path: Path) -> None:
    told: list[str] = []
    assert finetune(context, tmp_path / "results") is not None
    assert finetune(context, tmp_path / "results", Keeping(tell_done=told.append)) is None
    (path,) = (tmp_path / "results" / "runs").rglob("*.json")
    assert told == [f"finetune, seed 0: done already, not run again without --again: {path}"]
    assert finetune(context, tmp_path / "results", Keeping(again=True)) is not None
    assert finetune(replace(context, batching="dynamic"), tmp_path / "results") is not None  # another run


def test_a_record_that_was_changed_is_no_reason_not_to_run(context: Context, tmp_path: Path) -> None:
    assert finetune(context, tmp_path / "results") is not None
    (path,) = (tmp_path / "results" / "runs").rglob("*.json")
    path.write_text(path.read_text()[:-20])
    assert finetune(context, tmp_path / "results") is not None


def test_by_the_clock_dear_states_are_few_but_the_last_step_always_has_one(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = replace(context, recipe=replace(context.recipe, epochs=3))
    saved: list[int] = []
    write_state = checkpointing.write_state

    def noted(*arguments: Any, **named: Any) -> Path:
        saved.append(named["step"])
        return write_state(*arguments, **named)

    monkeypatch.setattr(checkpointing, "write_state", noted)
    finetune(context, tmp_path / "every", Keeping(save_every=100))
    monkeypatch.setattr(keeping, "SHARE", 10**9)
    finetune(context, tmp_path / "clock", Keeping(), seed=1)
    assert saved == [6, 12, 18, 6, 18]


def test_a_disk_that_refuses_states_is_told_once_and_the_run_is_whole(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = undisturbed(context, tmp_path)
    told: list[str] = []
    monkeypatch.setattr(checkpointing, "write_state", full)
    record = finetune(context, tmp_path / "results", Keeping(save_every=4, tell=told.append))
    assert len(told) == 1
    assert told[0].startswith("the state after step 4 could not be saved (No space left on device)")
    assert record is not None
    assert record.facts.pop("states_not_saved") == 4  # after 4, 6, 8 and 12
    assert result_of(record, context) == expected


def test_a_record_that_the_results_folder_does_not_take_is_kept_and_the_run_need_not_train_again(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, results = undisturbed(context, tmp_path), tmp_path / "results"

    def refuse(record: RunRecord, folder: Path) -> Path:
        if folder == results:
            raise ResultsError("cannot write the record", "Free space.")
        return write_record(record, folder)

    with monkeypatch.context() as patched:
        patched.setattr(once, "write_record", refuse)
        patched.setattr(tempfile, "tempdir", str(tmp_path))
        with pytest.raises(ResultsError, match="it is kept as"):
            finetune(context, results)
    (kept,) = tmp_path.glob("seminar-repro-record-*/runs/**/*.json")
    assert result_of(read_record(kept), context) == expected
    record = finetune(context, results)
    assert record is not None
    assert record.facts["resumed_after_steps"] == [12]
    assert result_of(record, context) == expected


def test_a_run_begun_again_and_interrupted_keeps_its_state_beside_the_record_that_stands(
    context: Context, tmp_path: Path
) -> None:
    expected, told = undisturbed(context, tmp_path), list[str]()
    assert finetune(context, tmp_path / "results") is not None
    with pytest.raises(Killed):
        finetune(replace(context, progress=CutOff(5)), tmp_path / "results", Keeping(again=True, save_every=4))
    assert finetune(context, tmp_path / "results", Keeping(tell=told.append)) is None
    assert told == ["a state of it after step 4 of 12 stands: --again goes on from there"]
    record = finetune(context, tmp_path / "results", Keeping(again=True))
    assert record is not None
    assert record.facts["resumed_after_steps"] == [4]
    assert result_of(record, context) == expected


def test_a_model_that_the_disk_refused_is_kept_from_the_last_state_without_training_again(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    expected, told = undisturbed(context, tmp_path), list[str]()
    with monkeypatch.context() as patched:
        patched.setattr("repro.sections.models.sync_file", full)
        record = finetune(context, tmp_path / "results")
    assert record is not None
    assert record.facts["not_saved"] == "No space left on device"
    assert not list(context.models.iterdir())
    assert finetune(context, tmp_path / "results", Keeping(tell=told.append)) is None
    assert told[0] == "a state of it after step 12 of 12 stands: --again goes on from there"
    assert told[1].endswith("--again keeps it there")
    record = finetune(context, tmp_path / "results", Keeping(again=True))
    assert record is not None
    assert record.facts["resumed_after_steps"] == [12]
    assert result_of(record, context) == expected
    assert not (tmp_path / "results" / "unfinished").exists()


def test_a_model_that_cannot_be_replaced_stays(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finetune(context, tmp_path / "results") is not None
    (model,) = context.models.iterdir()
    before = file_sha256(model / WEIGHTS)
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial") and target == model:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        record = finetune(context, tmp_path / "results", Keeping(again=True))
    assert record is not None
    assert record.facts["not_saved"] == "Input/output error"
    assert list(context.models.iterdir()) == [model]
    assert file_sha256(model / WEIGHTS) == before


@pytest.mark.usefixtures("heard")
def test_a_second_sigterm_does_not_cost_the_step_in_hand(context: Context, tmp_path: Path) -> None:
    class AskedTwice(CutOff):
        @contextmanager
        def bar(self, what: str, total: int) -> Iterator[Advance]:
            def advance(done: int, loss: Tensor | None) -> None:
                self.seen += 1
                if self.seen == self.at:
                    os.kill(os.getpid(), signal.SIGTERM)
                    os.kill(os.getpid(), signal.SIGTERM)

            yield advance

    with pytest.raises(InterruptedRunError, match="its state after step 3 is saved") as stopped:
        finetune(replace(context, progress=AskedTwice(2)), tmp_path / "results", Keeping())
    assert stopped.value.exit_code == 143
