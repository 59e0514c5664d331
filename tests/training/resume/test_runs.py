"""Completed and unfinished runs: skipped, run again, resumed, and refused where a state is not this run's."""

from __future__ import annotations

import errno
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from repro.assets.checkpoints import WEIGHTS, file_sha256
from repro.errors import InterruptedRunError, ResultsError, StateError
from repro.records import store
from repro.records.schema import RunRecord
from repro.records.store import read_record, write_record
from repro.sections import section_named
from repro.sections.context import Context
from repro.sections.models import model_folder
from repro.sections.runner import check_resumable, run_sections
from repro.training.resume.checkpointer import CheckpointPolicy
from repro.training.resume.state import read_state
from tests.running import result_of
from tests.training.trial import Killed, asked_to_stop, cut_off

FINETUNE = section_named("finetune")


@dataclass(kw_only=True)
class Runs:
    """Fine-tuning tiny in batches of 16 on 96 rows: six steps an epoch, two epochs; `lines` are what it said."""

    context: Context
    folder: Path
    lines: list[str] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def states(self) -> Sequence[Path]:
        return sorted(self.results.glob("unfinished/*/step-*"))

    def finetune(self, context: Context | None = None, **options: Any) -> RunRecord | None:
        """Run it; None where it was completed before."""
        policy = CheckpointPolicy(tell=self.lines.append, tell_done=self.lines.append, **{"save_every": 4, **options})
        recorded = list(run_sections([FINETUNE], context or self.context, [0], self.results, policy=policy))
        return recorded[0][0] if recorded else None

    def cut_off(self, context: Context | None = None, **options: Any) -> None:
        """Run it until step 5, after a state of step 4."""
        with pytest.raises(Killed):
            self.finetune(replace(context or self.context, progress=cut_off(5)), **options)

    def whole(self, record: RunRecord | None) -> dict[str, Any]:
        """All that decides a claim, and the saved model, file for file."""
        assert record is not None
        model = model_folder(self.context, record.settings.seed)
        return {**result_of(record), "files": {file.name: file_sha256(file) for file in sorted(model.iterdir())}}


@pytest.fixture
def runs(tiny_context: Context, tmp_path: Path) -> Runs:
    recipe = replace(tiny_context.recipe, batch_size=16)
    return Runs(context=replace(tiny_context, recipe=recipe, save=tmp_path / "models"), folder=tmp_path)


@pytest.fixture
def expected(runs: Runs) -> dict[str, Any]:
    """The undisturbed run."""
    context = replace(runs.context, save=runs.folder / "undisturbed-models")
    elsewhere = Runs(context=context, folder=runs.folder / "undisturbed")
    return elsewhere.whole(elsewhere.finetune())


def test_a_completed_run_is_skipped_unless_it_is_asked_for_again(runs: Runs) -> None:
    assert runs.finetune() is not None
    assert runs.finetune() is None
    (path,) = (runs.results / "runs").rglob("*.json")
    assert runs.lines == [f"finetune, seed 0: already completed, skipped (--again runs it again): {path}"]
    assert runs.finetune(again=True) is not None
    assert runs.finetune(runs.context.changed(batching="dynamic")) is not None  # another run
    for path in (runs.results / "runs").rglob("*.json"):
        path.write_text(path.read_text()[:-20])
    assert runs.finetune() is not None  # a damaged record completes nothing


def test_a_record_that_was_refused_is_saved_elsewhere_and_not_trained_again(
    runs: Runs, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(record: RunRecord, folder: Path) -> Path:
        if folder == runs.results:
            raise ResultsError("cannot write the record", "Free space.")
        return write_record(record, folder)

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_record", refuse)
        patched.setattr(tempfile, "tempdir", str(runs.folder))
        with pytest.raises(ResultsError, match="it is kept as"):
            runs.finetune()
    (path,) = runs.folder.glob("seminar-repro-record-*/runs/**/*.json")
    assert runs.whole(read_record(path)) == expected
    record = runs.finetune()
    assert runs.whole(record) == expected
    assert record is not None
    assert record.facts["resumed_after_steps"] == [12]


def test_asked_to_stop_after_its_last_phase_a_run_leaves_with_its_record(runs: Runs) -> None:
    in_test = asked_to_stop(26, signal.SIGTERM)  # 24 batches are trained on or evaluated before
    with pytest.raises(InterruptedRunError, match="it is complete, its record is written"):
        runs.finetune(replace(runs.context, progress=in_test))
    assert len(list((runs.results / "runs").rglob("*.json"))) == 1
    assert runs.finetune() is None
    assert not (runs.results / "unfinished").exists()


def test_an_interrupted_second_run_saves_its_state_beside_the_record(runs: Runs, expected: dict[str, Any]) -> None:
    assert runs.finetune() is not None
    runs.cut_off(again=True)
    assert runs.finetune() is None
    assert runs.lines[-1] == "there is a state of it after step 4 of 12: --again resumes from it"
    record = runs.finetune(again=True)
    assert runs.whole(record) == expected
    assert record is not None
    assert record.facts["resumed_after_steps"] == [4]


def test_a_refused_model_is_saved_from_the_last_state_later(
    runs: Runs, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("repro.sections.models.sync_file", full)
        record = runs.finetune()
    assert record is not None
    assert record.facts["not_saved"] == "No space left on device"
    assert not list(runs.context.models.iterdir())
    assert runs.finetune() is None
    assert runs.lines[-2] == "there is a state of it after step 12 of 12: --again resumes from it"
    assert runs.lines[-1].endswith("--again saves it there")
    *_, state = runs.states()
    content = state.read_bytes()
    state.write_bytes(b"")  # a disk that can't be read now
    assert runs.finetune() is None
    assert runs.lines[-1].startswith(f"the state {state} cannot be read (")
    state.write_bytes(content)
    assert runs.whole(runs.finetune(again=True)) == expected
    assert not (runs.results / "unfinished").exists()


def test_a_model_that_cannot_be_replaced_stays(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs.finetune() is not None
    (model,) = runs.context.models.iterdir()
    before, rename = file_sha256(model / WEIGHTS), Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial") and target == model:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        record = runs.finetune(again=True)
    assert record is not None
    assert record.facts["not_saved"] == "Input/output error"
    assert list(runs.context.models.iterdir()) == [model]
    assert file_sha256(model / WEIGHTS) == before


def test_a_head_drawn_before_the_seed_is_the_same_when_the_run_is_resumed(runs: Runs) -> None:
    context = runs.context.changed(protocol="as-published")
    runs.cut_off(context)
    drawn = read_state(runs.states()[-1]).content["notes"]["head_seed"]
    record = runs.finetune(context)
    assert record is not None
    assert record.facts["head_seed"] == drawn


def test_a_state_of_another_run_is_refused_with_what_differs_and_stays(runs: Runs) -> None:
    runs.cut_off()
    (mine,) = runs.states()
    runs.cut_off(runs.context.changed(batching="dynamic"))
    (other,) = set(runs.states()) - {mine}
    moved = other.rename(mine.with_name(other.name.replace("step-", "step-9")))
    with pytest.raises(StateError, match="another run: it differs in batching"):
        runs.finetune()
    assert list(runs.states()) == [mine, moved]


def test_resuming_insists_on_a_state_of_this_run_and_names_what_differs(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.cut_off()
    check_resumable([FINETUNE], runs.context, [0], runs.results)
    monkeypatch.setattr("repro.training.resume.state.digest_of", Mock(side_effect=AssertionError("it reads all of it")))
    with pytest.raises(StateError, match=r"nothing to resume of finetune, seed 0; unfinished: .* differs in batching"):
        check_resumable([FINETUNE], runs.context.changed(batching="dynamic"), [0], runs.results)
    monkeypatch.undo()
    (state,) = runs.states()
    state.write_bytes(state.read_bytes()[:-9])
    with pytest.raises(StateError, match="every state of finetune, seed 0 is damaged"):
        runs.finetune(resume=True)
    assert list(runs.states()) == [state.with_name(f"{state.name}.damaged")]
    assert not list((runs.results / "runs").rglob("*.json"))


def test_fresh_starts_at_step_0(runs: Runs) -> None:
    runs.cut_off()
    record = runs.finetune(fresh=True)
    assert record is not None
    assert "resumed_after_steps" not in record.facts


def test_a_file_in_the_place_of_the_states_is_reported(runs: Runs) -> None:
    runs.results.mkdir()
    (runs.results / "unfinished").write_text("")
    with pytest.raises(ResultsError, match="cannot save the states of finetune, seed 0"):
        runs.finetune()
