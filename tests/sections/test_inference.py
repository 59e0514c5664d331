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
from repro.sections.context import Context
from repro.sections.inference import TWEET, load_finetuned, predict
from repro.sections.models import STAMP
from tests.running import measure


@pytest.fixture
def saved(trained: tuple[Path, RunRecord]) -> Path:
    return trained[0]


def test_a_saved_model_loads_in_transformers_pipeline_and_gives_the_same_probabilities(saved: Path) -> None:
    texts = [TWEET, "i am afraid", "Привет 😀", "x " * 2000]
    classifier: Any = pipeline("text-classification", model=str(saved))
    expected = classifier(texts, top_k=None, truncation=True, max_length=512)
    for prediction, rows in zip(predict(load_finetuned(saved), texts), expected, strict=True):
        assert prediction.probabilities == pytest.approx({row["label"]: row["score"] for row in rows}, abs=1e-6)
        assert prediction.label == rows[0]["label"]


def test_the_section_reads_the_model_that_fine_tuning_left_in_the_same_run(tiny_context: Context) -> None:
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


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def test_a_model_of_another_setting_or_with_other_weights_is_not_taken_for_the_one_asked_for(
    tiny_context: Context, saved: Path
) -> None:
    context = replace(tiny_context.changed(protocol="as-published"), save=saved.parent)
    with pytest.raises(
        MissingAssetError, match=r"no fine-tuned model .*; 1 of other settings, code or library versions are"
    ):
        measure("inference", context)
    flip_a_bit(saved)
    with pytest.raises(MissingAssetError, match="is not the file that was saved"):
        measure("inference", replace(tiny_context, save=saved.parent))


def in_json(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    """Change a JSON file of the folder in place."""

    def write(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(change(content) or content))

    return write


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of the weights": (flip_a_bit, r"model\.safetensors is not the file"),
    "label names swapped": (in_json("config.json", lambda c: c["id2label"].update({"0": "joy", "1": "sadness"})), ""),
    "a token added": (lambda folder: (folder / "added_tokens.json").write_text('{"good": 9999}'), "was not saved"),
    "the vocabulary": (in_json("tokenizer.json", lambda t: t["model"]["vocab"].update(happy=1)), ""),
    "upper case matters": (in_json("tokenizer_config.json", lambda c: {**c, "do_lower_case": False}), ""),
    "another run": (in_json(STAMP, lambda stamp: stamp["settings"].update(seed=1)), "it is damaged"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json is not the file"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors is missing"),
    "no stamp": (lambda folder: (folder / STAMP).unlink(), f"{STAMP} is missing"),
    "no folder": (lambda folder: folder.rename(folder.with_name("elsewhere")), "holds no saved model"),
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


def test_a_long_text_is_cut_and_a_foreign_one_is_unknown_and_both_are_told(saved: Path) -> None:
    loaded = load_finetuned(saved)
    long, foreign, known = predict(loaded, ["happy " * 1700, "Привет 😀", "happy"])
    assert (long.cut, foreign.cut, known.cut) == (True, False, False)
    assert (foreign.unknown, foreign.pieces) == (2, 2)
    assert (known.unknown, known.pieces) == (0, 1)
    with pytest.raises(UsageError, match="text 2 is empty"):
        predict(loaded, ["a", " \n"])
