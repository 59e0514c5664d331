"""A fine-tuned model in use: what transformers' own pipeline says, each probability under its name, clear errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from repro.errors import CheckpointError, MissingAssetError, UsageError
from repro.records.schema import LABELS, RunRecord
from repro.sections.context import Context, Outputs
from repro.sections.inference import MAPPED, TWEET, load_finetuned, name_outputs, predict
from tests.running import measure

STANDARD = {str(i): f"LABEL_{i}" for i in range(6)}


@pytest.fixture
def saved(trained: tuple[Path, RunRecord]) -> Path:
    return trained[0]


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        config.pop(name, None)
        if value is not None:
            config[name] = value
    (folder / "config.json").write_text(json.dumps(config))


def test_a_saved_model_loads_in_transformers_pipeline_and_gives_the_same_probabilities(saved: Path) -> None:
    texts = [TWEET, "i am afraid", "Привет 😀", "x " * 2000]
    classifier: Any = pipeline("text-classification", model=str(saved))
    expected = classifier(texts, top_k=None, truncation=True, max_length=512)
    for prediction, rows in zip(predict(load_finetuned(saved), texts), expected, strict=True):
        assert prediction.probabilities == pytest.approx({row["label"]: row["score"] for row in rows}, abs=1e-6)
        assert prediction.label == rows[0]["label"]


def test_the_experiment_reads_the_model_that_fine_tuning_left_in_the_same_run(tiny_context: Context) -> None:
    measure("finetune", tiny_context, 3)
    facts = measure("inference", tiny_context, 3).facts
    probabilities = facts["probabilities"]
    assert isinstance(probabilities, dict)
    assert list(probabilities) == list(LABELS)
    assert facts["joy_probability"] == probabilities["joy"]
    with pytest.raises(MissingAssetError, match="no fine-tuned model tiny-distilbert-finetuned-rehearsal-seed4"):
        measure("inference", tiny_context, 4)


def test_a_model_of_another_setting_or_with_other_weights_is_not_taken_for_the_one_asked_for(
    tiny_context: Context, saved: Path
) -> None:
    context = replace(tiny_context.changed(protocol="as-published"), outputs=Outputs(save=saved.parent))
    with pytest.raises(MissingAssetError, match="another recipe, corpus or setting"):
        measure("inference", context)
    weights = bytearray((saved / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (saved / "model.safetensors").write_bytes(weights)
    with pytest.raises(MissingAssetError, match="is not the file that was saved"):
        measure("inference", replace(tiny_context, outputs=Outputs(save=saved.parent)), 0)


def test_a_saved_model_whose_weights_changed_by_one_bit_is_refused(saved: Path) -> None:
    weights = saved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not the file that was saved"):
        load_finetuned(saved)


@pytest.mark.parametrize("id2label", [STANDARD, None])
def test_six_outputs_without_names_get_the_corpus_names_with_the_reason(saved: Path, id2label: Any) -> None:
    named = predict(load_finetuned(saved), [TWEET])[0].probabilities
    change_config(saved, id2label=id2label, label2id=None)
    loaded = load_finetuned(saved)
    assert (loaded.labels, loaded.note) == (LABELS, MAPPED)
    assert predict(loaded, [TWEET])[0].probabilities == named


def test_labels_of_another_model_are_shown_as_they_are_each_with_its_own_probability(saved: Path) -> None:
    before = list(predict(load_finetuned(saved), [TWEET])[0].probabilities.values())
    others = [
        "zebra",
        "ape",
        "LABEL_5",
        "bee",
        "cow",
        "dog",
    ]  # the notebook would sort them
    change_config(saved, id2label={str(i): name for i, name in enumerate(others)}, label2id=None)
    loaded = load_finetuned(saved)
    assert predict(loaded, [TWEET])[0].probabilities == dict(zip(others, before, strict=True))
    assert loaded.note == ""
    assert name_outputs({"0": "LABEL_0", "1": "LABEL_1"}, 2) == (("LABEL_0", "LABEL_1"), "")


def test_names_that_do_not_fit_the_outputs_are_refused() -> None:
    for names in ({"0": "a"}, {"0": "a", "1": "a"}, {"1": "a", "2": "b"}):
        with pytest.raises(CheckpointError, match="id2label names"):
            name_outputs(names, 2)


def test_a_long_text_is_cut_and_a_foreign_one_is_unknown_and_both_are_told(saved: Path) -> None:
    loaded = load_finetuned(saved)
    long, foreign, known = predict(loaded, ["happy " * 1700, "Привет 😀", "happy"])
    assert (long.cut, foreign.cut, known.cut) == (True, False, False)
    assert (foreign.unknown, foreign.pieces) == (2, 2)
    assert (known.unknown, known.pieces) == (0, 1)
    with pytest.raises(UsageError, match="text 2 is empty"):
        predict(loaded, ["a", " \n"])


def test_folders_that_hold_no_fine_tuned_model_are_told_apart(
    saved: Path, tiny_context: Context, tmp_path: Path
) -> None:
    def told(folder: Path) -> str:
        with pytest.raises(CheckpointError) as refused:
            load_finetuned(folder)
        return refused.value.what

    assert "no model folder" in told(tmp_path / "nowhere")
    assert f"did you mean its folder {saved.name}?" in told(saved.parent)
    assert "has no classification head" in told(tiny_context.checkpoint.folder)
    (saved / "config.json").write_text("[]")
    assert "is no object" in told(saved)
    (saved / "config.json").write_text("{")
    assert "cannot be read" in told(saved)
    (saved / "config.json").write_text("{}")
    assert "cannot be used" in told(saved)
    (saved / "model.safetensors").write_bytes(b"short")
    assert "expected the weights as model.safetensors" in told(saved)
