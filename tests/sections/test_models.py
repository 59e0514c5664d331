"""Saved models: one owner and one folder a run, whole or not there, what the card says, and how they are used."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from huggingface_hub import ModelCard
from transformers import pipeline

from repro.assets.checkpoints import WEIGHTS
from repro.errors import CheckpointError, MissingAssetError, ResultsError, UsageError
from repro.records.schema import LABELS, RunRecord
from repro.sections import section_named
from repro.sections.context import Context
from repro.sections.inference import TWEET, load_finetuned, predict
from repro.sections.models import STAMP, check_models, model_folder, read_stamp, restore_models
from repro.sections.runner import run_sections
from tests.files import flip_a_bit
from tests.running import measure
from tests.sections.conftest import Measured


def test_a_saved_model_loads_in_transformers_pipeline_and_gives_the_same_probabilities(saved: Path) -> None:
    texts = [TWEET, "i am afraid", "Привет 😀", "x " * 2000]
    classifier: Any = pipeline("text-classification", model=str(saved))
    expected = classifier(texts, top_k=None, truncation=True, max_length=512)
    for prediction, rows in zip(predict(load_finetuned(saved), texts), expected, strict=True):
        assert prediction.probabilities == pytest.approx({row["label"]: row["score"] for row in rows}, abs=1e-6)
        assert prediction.label == rows[0]["label"]


def test_the_section_reads_the_model_that_fine_tuning_left_in_the_same_run(
    measured: Measured, saved: Path, tmp_path: Path
) -> None:
    facts, context = measured.records["inference", 0].facts, replace(measured.context, save=saved.parent)
    probabilities: Any = facts["probabilities"]
    assert list(probabilities) == list(LABELS)
    assert facts["joy_probability"] == probabilities["joy"]
    name = "tiny-distilbert-finetuned-rehearsal-seed4-[0-9a-f]{8}"
    with pytest.raises(MissingAssetError, match=f"no fine-tuned model {name} is here"):
        list(run_sections([section_named("inference")], context, [4], tmp_path))  # nobody is told: it ends the run
    flip_a_bit(saved / WEIGHTS)
    with pytest.raises(MissingAssetError, match="is not the file that was saved"):
        measure("inference", context)


def in_json(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    """Change a JSON file of the folder in place."""

    def write(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(change(content) or content))

    return write


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of the weights": (lambda folder: flip_a_bit(folder / WEIGHTS), r"model\.safetensors is not the file"),
    "label names swapped": (in_json("config.json", lambda c: c["id2label"].update({"0": "joy", "1": "sadness"})), ""),
    "a token added": (lambda folder: (folder / "added_tokens.json").write_text('{"good": 9999}'), "was not saved"),
    "the vocabulary": (in_json("tokenizer.json", lambda t: t["model"]["vocab"].update(happy=1)), ""),
    "upper case matters": (in_json("tokenizer_config.json", lambda c: {**c, "do_lower_case": False}), ""),
    "another run": (in_json(STAMP, lambda stamp: stamp["settings"].update(seed=1)), "it is damaged"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json is not the file"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors cannot be read"),
    "no stamp": (lambda folder: (folder / STAMP).unlink(), f"{STAMP} cannot be read"),
    "no folder": (lambda folder: folder.rename(folder.with_name("elsewhere")), "no model folder"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_saved_model_that_would_behave_differently_is_refused(change: str, saved: Path) -> None:
    (saved / "README.md").write_text("# mine\n")  # the card may be rewritten
    load_finetuned(saved)
    with pytest.raises(CheckpointError, match=rf"did you mean its folder {saved.name}\?"):
        load_finetuned(saved.parent)
    alter, what = CHANGES[change]
    alter(saved)
    with pytest.raises(CheckpointError, match=what or "is not the file that was saved"):
        load_finetuned(saved)


def test_a_long_text_is_cut_and_an_empty_one_refused(saved: Path) -> None:
    loaded = load_finetuned(saved)
    assert [prediction.cut for prediction in predict(loaded, ["happy " * 1700, "Привет 😀"])] == [True, False]
    with pytest.raises(UsageError, match="text 2 is empty"):
        predict(loaded, ["a", " \n"])


def test_the_card_is_hub_metadata_with_the_scores_of_the_record(trained: tuple[Path, RunRecord]) -> None:
    folder, record = trained
    data = ModelCard.load(folder / "README.md").data
    found = {(r.dataset_split, r.metric_type): r.metric_value for r in data.eval_results or []}
    for split, name in (("validation", "epoch-2/validation"), ("test", "test")):
        scores = record.scores[name]
        assert found[split, "accuracy"] == pytest.approx(scores.accuracy)
        assert found[split, "f1"] == pytest.approx(scores.weighted_f1)
        assert found[split, "loss"] == pytest.approx(scores.loss)
    assert "limited-run" in data.tags
    assert all(result.dataset_args == {"limit": 96} for result in data.eval_results or [])
    assert all("the first 96 rows" in result.dataset_name for result in data.eval_results or [])
    stamp = read_stamp(folder)
    assert (stamp.recipe, stamp.corpus, stamp.settings) == (record.recipe, record.corpus, record.settings)


def test_a_saved_model_is_readable_by_whoever_the_umask_lets(trained: tuple[Path, RunRecord]) -> None:
    expected = 0o666 & ~(mask := os.umask(0))
    os.umask(mask)
    assert {path.name: path.stat().st_mode & 0o777 for path in trained[0].iterdir()} == dict.fromkeys(
        (path.name for path in trained[0].iterdir()), expected
    )


def test_a_model_no_better_than_the_dummy_is_called_so(tiny_context: Context, tmp_path: Path) -> None:
    recipe = replace(tiny_context.recipe, epochs=1, learning_rate=1e-9)
    context = replace(tiny_context, recipe=recipe, save=tmp_path)
    measure("finetune", context, 0)
    folder = model_folder(context, 0)
    assert "is no better than always answering" in read_stamp(folder).warning()
    assert "Not for use" in (folder / "README.md").read_text()
    assert "is no better than always answering" in load_finetuned(folder).note


def test_a_folder_that_is_no_model_of_the_run_is_refused_before_training(
    trained: tuple[Path, RunRecord], tiny_context: Context
) -> None:
    folder, _ = trained
    context, nowhere = (replace(tiny_context, save=save) for save in (folder.parent, folder / STAMP / "models"))
    check_models(context, [1, 0])
    (folder / STAMP).write_text("{}")
    for refuse in (lambda context: measure("finetune", context), lambda context: check_models(context, [1, 0])):
        with pytest.raises(UsageError, match="exists already"):
            refuse(context)
        with pytest.raises(ResultsError, match="cannot write to"):
            refuse(nowhere)


def test_two_processes_do_not_make_the_model_of_one_run_at_once(tiny_context: Context, tmp_path: Path) -> None:
    context = replace(tiny_context, save=tmp_path)
    folder = model_folder(context, 0)
    with FileLock(folder.with_name(f".{folder.name}.lock")), pytest.raises(ResultsError, match="another process"):
        measure("finetune", context, 0)
    measure("finetune", context, 0)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]  # the lock is gone


def test_a_model_that_a_killed_process_moved_aside_gets_its_name_back(saved: Path) -> None:
    aside = saved.rename(saved.with_name(f".{saved.name}.replaced"))
    with FileLock(saved.with_name(f".{saved.name}.lock")), pytest.raises(CheckpointError, match="no model folder"):
        load_finetuned(saved)  # that process is alive, and about to name the newer model
    load_finetuned(saved)
    shutil.copytree(saved, aside)  # it was killed before it removed the older one
    restore_models(saved.parent)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_run_made_again_replaces_the_model_that_it_left(tiny_context: Context, tmp_path: Path) -> None:
    context = replace(tiny_context.changed(protocol="as-published"), save=tmp_path / "models")  # each time another head
    first, second = (measure("finetune", context, 0) for _ in range(2))
    assert first.facts["head_seed"] != second.facts["head_seed"]
    assert first.epochs[0].train_loss != second.epochs[0].train_loss
    assert second.facts["saved_model"] == first.facts["saved_model"]
    assert read_stamp(tmp_path / "models" / str(second.facts["saved_model"])).scores == second.scores
