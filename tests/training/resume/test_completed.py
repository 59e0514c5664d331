"""Completed runs: skipped, run again when asked for, and what is left of one whose record or model was refused."""

from __future__ import annotations

import errno
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.assets.checkpoints import WEIGHTS, file_sha256
from repro.errors import ResultsError
from repro.records import store
from repro.records.schema import RunRecord
from repro.records.store import read_record, write_record
from repro.sections import section_named
from repro.sections.context import Context
from repro.sections.models import model_folder
from repro.sections.runner import run_sections
from repro.training.resume.checkpointer import CheckpointPolicy
from repro.training.resume.state import read_manifest
from tests.training.trial import Killed, cut_off

AGAIN = CheckpointPolicy(again=True, save_every=4)


@pytest.fixture
def context(tiny_context: Context, tmp_path: Path) -> Context:
    """Tiny in batches of 16 on 96 rows: six steps an epoch, two epochs."""
    recipe = replace(tiny_context.recipe, batch_size=16)
    return replace(tiny_context, recipe=recipe, save=tmp_path / "models")


def finetune(context: Context, results: Path, policy: CheckpointPolicy | None = None) -> RunRecord | None:
    policy = policy or CheckpointPolicy(save_every=4)
    recorded = list(run_sections([section_named("finetune")], context, [0], results, policy=policy))
    return recorded[0][0] if recorded else None


def result_of(record: RunRecord | None, context: Context) -> dict[str, Any]:
    """All that decides a claim, and the weights; not seconds and how many parts it was trained in."""
    assert record is not None
    whole = record.model_dump(include={"facts", "scores", "rows", "epochs", "run_key"})
    whole["facts"].pop("resumed_after_steps", None)
    for epoch in whole["epochs"]:
        del epoch["train_seconds"], epoch["tweets_per_second"]
    model = model_folder(context, record.settings.seed)  # file for file
    return {**whole, "files": {file.name: file_sha256(file) for file in sorted(model.iterdir())}}


@pytest.fixture
def expected(context: Context, tmp_path: Path) -> dict[str, Any]:
    """The result of the undisturbed run."""
    elsewhere = replace(context, save=tmp_path / "undisturbed-models")
    return result_of(finetune(elsewhere, tmp_path / "undisturbed"), elsewhere)


def test_a_completed_run_is_skipped_unless_it_is_asked_for_again(context: Context, tmp_path: Path) -> None:
    results, lines = tmp_path / "results", list[str]()
    assert finetune(context, results) is not None
    assert finetune(context, results, CheckpointPolicy(tell_done=lines.append)) is None
    (path,) = (results / "runs").rglob("*.json")
    assert lines == [f"finetune, seed 0: already completed, skipped (--again runs it again): {path}"]
    assert finetune(context, results, AGAIN) is not None
    assert finetune(context.changed(batching="dynamic"), results) is not None  # another run
    for path in (results / "runs").rglob("*.json"):
        path.write_text(path.read_text()[:-20])
    assert finetune(context, results) is not None  # a damaged record completes nothing


def test_a_record_that_was_refused_is_saved_elsewhere_and_not_trained_again(
    context: Context, expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"

    def refuse(record: RunRecord, folder: Path) -> Path:
        if folder == results:
            raise ResultsError("cannot write the record", "Free space.")
        return write_record(record, folder)

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_record", refuse)
        patched.setattr(tempfile, "tempdir", str(tmp_path))
        with pytest.raises(ResultsError, match="it is kept as"):
            finetune(context, results)
    (path,) = tmp_path.glob("seminar-repro-record-*/runs/**/*.json")
    assert result_of(read_record(path), context) == expected
    record = finetune(context, results)
    assert record is not None
    assert record.facts["resumed_after_steps"] == [12]
    assert result_of(record, context) == expected


def test_an_interrupted_second_run_saves_its_state_beside_the_record(
    context: Context, expected: dict[str, Any], tmp_path: Path
) -> None:
    results, lines = tmp_path / "results", list[str]()
    assert finetune(context, results) is not None
    with pytest.raises(Killed):
        finetune(replace(context, progress=cut_off(5)), results, AGAIN)
    assert finetune(context, results, CheckpointPolicy(tell=lines.append)) is None
    assert lines == ["there is a state of it after step 4 of 12: --again resumes from it"]
    record = finetune(context, results, AGAIN)
    assert record is not None
    assert record.facts["resumed_after_steps"] == [4]
    assert result_of(record, context) == expected


def test_a_refused_model_is_saved_from_the_last_state_later(
    context: Context, expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    results, lines = tmp_path / "results", list[str]()
    with monkeypatch.context() as patched:
        patched.setattr("repro.sections.models.sync_file", full)
        record = finetune(context, results)
    assert record is not None
    assert record.facts["not_saved"] == "No space left on device"
    assert not list(context.models.iterdir())
    assert finetune(context, results, CheckpointPolicy(tell=lines.append)) is None
    assert lines[0] == "there is a state of it after step 12 of 12: --again resumes from it"
    assert lines[1].endswith("--again saves it there")
    record = finetune(context, results, AGAIN)
    assert record is not None
    assert record.facts["resumed_after_steps"] == [12]
    assert result_of(record, context) == expected
    assert not (results / "unfinished").exists()


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
        record = finetune(context, tmp_path / "results", AGAIN)
    assert record is not None
    assert record.facts["not_saved"] == "Input/output error"
    assert list(context.models.iterdir()) == [model]
    assert file_sha256(model / WEIGHTS) == before


def test_a_head_drawn_before_the_seed_is_the_same_when_the_run_is_resumed(context: Context, tmp_path: Path) -> None:
    context = context.changed(protocol="as-published")
    with pytest.raises(Killed):
        finetune(replace(context, progress=cut_off(5)), tmp_path / "results")
    (state,) = (tmp_path / "results").glob("unfinished/*/step-*")
    drawn = read_manifest(state).numbers["notes"]["head_seed"]
    record = finetune(context, tmp_path / "results")
    assert record is not None
    assert record.facts["head_seed"] == drawn
