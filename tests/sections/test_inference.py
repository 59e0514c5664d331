"""A fine-tuned model in use: what transformers' own pipeline says, each probability under its name, clear errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from repro.errors import CheckpointError, MissingAssetError, UsageError
from repro.records.schema import LABELS, RunRecord
from repro.sections.context import Context, Outputs
from repro.sections.inference import MAPPED, TWEET, load_finetuned, name_outputs, predict
from repro.sections.models import STAMP
from tests.running import measure

STANDARD = {str(i): f"LABEL_{i}" for i in range(6)}


@pytest.fixture
def saved(trained: tuple[Path, RunRecord]) -> Path:
    return trained[0]


@pytest.fixture
def unstamped(saved: Path) -> Path:
    """The same as somebody else's classifier, of which nothing is known."""
    (saved / STAMP).unlink()
    return saved


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
    with pytest.raises(
        MissingAssetError, match=r"no fine-tuned model tiny-distilbert-finetuned-rehearsal-seed4-[0-9a-f]{8} is here"
    ):
        measure("inference", tiny_context, 4)


def test_a_model_of_another_setting_or_with_other_weights_is_not_taken_for_the_one_asked_for(
    tiny_context: Context, saved: Path
) -> None:
    context = replace(tiny_context.changed(protocol="as-published"), outputs=Outputs(save=saved.parent))
    with pytest.raises(
        MissingAssetError, match=r"no fine-tuned model .*; 1 of other settings, code or library versions are"
    ):
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


def swap_label_names(folder: Path) -> None:
    names = json.loads((folder / "config.json").read_text())["id2label"]
    names["0"], names["1"] = names["1"], names["0"]
    change_config(folder, id2label=names)


def add_a_token(folder: Path) -> None:
    (folder / "added_tokens.json").write_text('{"good": 9999}')


def change_the_vocabulary(folder: Path) -> None:
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["happy"], vocabulary["sad"] = vocabulary["sad"], vocabulary["happy"]
    file.write_text(json.dumps(tokenizer))


def upper_case_matters(folder: Path) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "do_lower_case": False}))


def name_another_run(folder: Path) -> None:
    file = folder / STAMP
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))


def lose_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    "change",
    [swap_label_names, add_a_token, change_the_vocabulary, upper_case_matters, name_another_run, lose_the_tokenizer],
)
def test_a_saved_model_that_would_behave_differently_is_refused(change: Callable[[Path], None], saved: Path) -> None:
    load_finetuned(saved)
    change(saved)
    with pytest.raises(CheckpointError):
        load_finetuned(saved)


def test_the_card_of_a_saved_model_may_be_rewritten(saved: Path) -> None:
    (saved / "README.md").write_text("# mine\n")
    assert load_finetuned(saved).labels == LABELS


@pytest.mark.parametrize("id2label", [STANDARD, None])
def test_six_outputs_without_names_get_the_corpus_names_with_the_reason(unstamped: Path, id2label: Any) -> None:
    named = predict(load_finetuned(unstamped), [TWEET])[0].probabilities
    change_config(unstamped, id2label=id2label, label2id=None)
    loaded = load_finetuned(unstamped)
    assert (loaded.labels, loaded.note) == (LABELS, MAPPED)
    assert predict(loaded, [TWEET])[0].probabilities == named


def test_labels_of_another_model_are_shown_as_they_are_each_with_its_own_probability(unstamped: Path) -> None:
    before = list(predict(load_finetuned(unstamped), [TWEET])[0].probabilities.values())
    others = [
        "zebra",
        "ape",
        "LABEL_5",
        "bee",
        "cow",
        "dog",
    ]  # the notebook would sort them
    change_config(unstamped, id2label={str(i): name for i, name in enumerate(others)}, label2id=None)
    loaded = load_finetuned(unstamped)
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
    (saved / STAMP).unlink()
    assert "has no classification head" in told(tiny_context.checkpoint.folder)
    (saved / "config.json").write_text("[]")
    assert "is no object" in told(saved)
    (saved / "config.json").write_text("{")
    assert "cannot be read" in told(saved)
    (saved / "config.json").write_text("{}")
    assert "cannot be used" in told(saved)
    (saved / "model.safetensors").write_bytes(b"short")
    assert "expected the weights as model.safetensors" in told(saved)
