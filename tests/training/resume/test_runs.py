"""Completed and unfinished runs: skipped, run again, resumed, and refused where a state is not this run's."""

from __future__ import annotations

import errno
import signal
import tempfile
from pathlib import Path
from unittest.mock import Mock

import pytest
from safetensors import SafetensorError

from repro.assets.checkpoints import WEIGHTS, file_sha256
from repro.errors import InterruptedRunError, ResultsError, StateError
from repro.records import store
from repro.records.schema import RunRecord
from repro.records.store import read_record, write_record
from repro.training.resume.state import read_state
from tests.training.trial import DoAt, Runs

FULL = "No space left on device"


def test_a_completed_run_is_skipped_unless_it_is_asked_for_again(runs: Runs) -> None:
    runs.finetune()
    assert runs.skips()
    (path,) = (runs.results / "runs").rglob("*.json")
    assert runs.lines == [f"finetune, seed 0: already completed, skipped (--again runs it again): {path}"]
    runs.finetune(again=True)
    runs.finetune(runs.context.changed(batching="dynamic"))  # another run
    for path in (runs.results / "runs").rglob("*.json"):
        path.write_text(path.read_text()[:-20])
    runs.finetune()  # a damaged record completes nothing


def test_a_record_that_was_refused_is_saved_elsewhere_and_not_trained_again(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
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
    expected = runs.undisturbed()
    assert runs.whole(read_record(path)) == expected
    record = runs.finetune()
    assert runs.whole(record) == expected
    assert record.facts["resumed_after_steps"] == [12]


def test_asked_to_stop_after_its_last_phase_a_run_leaves_with_its_record(runs: Runs) -> None:
    in_test = DoAt(26, lambda: signal.raise_signal(signal.SIGTERM))  # 24 batches are trained on or evaluated before
    with pytest.raises(InterruptedRunError, match="it is complete, its record is written"):
        runs.finetune(progress=in_test)
    assert len(list((runs.results / "runs").rglob("*.json"))) == 1
    assert runs.skips()
    assert not (runs.results / "unfinished").exists()


def test_an_interrupted_second_run_saves_its_state_beside_the_record(runs: Runs) -> None:
    runs.finetune()
    runs.cut_off(again=True)
    assert runs.skips()
    assert runs.lines[-1] == "there is a state of it after step 4 of 12: --again resumes from it"
    record = runs.finetune(again=True)
    assert runs.whole(record) == runs.undisturbed()
    assert record.facts["resumed_after_steps"] == [4]


@pytest.mark.parametrize(
    ("writer", "error"),
    [
        ("repro.sections.models.sync_file", OSError(errno.ENOSPC, FULL)),
        ("huggingface_hub.ModelCard.save", OSError(errno.ENOSPC, FULL)),
        ("transformers.PreTrainedModel.save_pretrained", SafetensorError(f"I/O error: {FULL} (os error 28)")),
    ],
)
def test_a_refused_model_is_saved_from_the_last_state_later(
    writer: str, error: Exception, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(writer, Mock(side_effect=error))
        record = runs.finetune()
    assert (record.facts["saved_model"], record.facts["not_saved"]) == (None, FULL)
    assert not list(runs.context.models.glob("*"))  # no half of a model stays
    assert runs.skips()
    assert runs.lines[-2] == "there is a state of it after step 12 of 12: --again resumes from it"
    assert runs.lines[-1].endswith("--again saves it there")
    *_, state = runs.states()
    content = state.read_bytes()
    state.write_bytes(b"")
    assert runs.skips()
    assert runs.lines[-1].startswith(f"the state {state} is damaged (")
    state.write_bytes(content)
    assert runs.whole(runs.finetune(again=True)) == runs.undisturbed()
    assert not (runs.results / "unfinished").exists()


def test_a_model_that_cannot_be_replaced_stays(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.finetune()
    (model,) = runs.context.models.iterdir()
    before, rename = file_sha256(model / WEIGHTS), Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial") and target == model:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        record = runs.finetune(again=True)
    assert record.facts["not_saved"] == "Input/output error"
    assert list(runs.context.models.iterdir()) == [model]
    assert file_sha256(model / WEIGHTS) == before


def test_a_head_drawn_before_the_seed_is_the_same_when_the_run_is_resumed(runs: Runs) -> None:
    context = runs.context.changed(protocol="as-published")
    runs.cut_off(context)
    drawn = read_state(runs.states()[-1]).content["notes"]["head_seed"]
    assert runs.finetune(context).facts["head_seed"] == drawn


def test_a_state_of_another_run_is_refused_with_what_differs_and_stays(runs: Runs) -> None:
    runs.cut_off()
    (mine,) = runs.states()
    runs.cut_off(runs.context.changed(batching="dynamic"))
    (other,) = set(runs.states()) - {mine}
    moved = other.rename(mine.with_name(other.name.replace("step-", "step-9")))
    with pytest.raises(StateError, match="another run: it differs in batching"):
        runs.finetune()
    assert list(runs.states()) == [mine, moved]


def test_fresh_starts_at_step_0(runs: Runs) -> None:
    runs.cut_off()
    assert "resumed_after_steps" not in runs.finetune(fresh=True).facts


def test_a_file_in_the_place_of_the_states_is_reported(runs: Runs) -> None:
    runs.results.mkdir()
    (runs.results / "unfinished").write_text("")
    with pytest.raises(ResultsError, match="cannot save the states of finetune, seed 0"):
        runs.finetune()
