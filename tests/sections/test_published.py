"""The book's published model, through the same code on a tiny one: its head, its unnamed classes, every row once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.loading import load_classifier
from repro.assets.recipes import MINILM, PUBLISHED, TINY
from repro.claims.claim import Outcome
from repro.errors import CheckpointError, MissingAssetError
from repro.sections import published
from repro.sections.context import Context
from tests.running import measure
from tests.sections.conftest import verdicts_on


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny stand-in for the book's model in a folder of its name: DistilBERT, classes LABEL_0 to LABEL_5."""
    folder, tiny = tmp_path / PUBLISHED.checkpoint.split("/")[1], locate_checkpoint(TINY).folder
    model = load_classifier(tiny)
    model.config.id2label = {i: f"LABEL_{i}" for i in range(6)}
    model.config.label2id = {f"LABEL_{i}": i for i in range(6)}
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    monkeypatch.setattr(published, "PUBLISHED", replace(PUBLISHED, config={"model_type": "distilbert"}))
    return folder


@pytest.fixture
def context(tiny_context: Context, folder: Path) -> Context:
    return replace(tiny_context, recipe=MINILM, checkpoints=folder.parent)


def test_its_scores_are_those_of_the_model_read_by_transformers_alone(context: Context, folder: Path) -> None:
    record = measure("published", context)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for split in ("validation", "test"):
        inputs = tokenizer(context.corpus.texts(split)[:], padding=True, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**inputs).logits
        labels, scores = torch.tensor(context.corpus.labels(split)), record.scores[f"published/{split}"]
        assert record.rows[f"published/{split}"].predictions == logits.argmax(-1).tolist()
        assert scores.accuracy == pytest.approx(float((logits.argmax(-1) == labels).double().mean()))
        assert scores.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), abs=1e-5)
    # the record names the published model and not the recipe that was asked for
    assert record.recipe.checkpoint == "transformersbook/distilbert-base-uncased-finetuned-emotion"
    assert (record.recipe.name, record.recipe.revision) == ("published", "a folder's")
    verdict = verdicts_on(record)["published.model"]
    assert verdict.outcome is Outcome.NOT_COMPARABLE  # 96 sentences are not the tweets
    assert "needs the 20,000 emotion tweets" in verdict.why


def test_a_pickle_alone_or_nothing_is_refused_with_every_way_out(context: Context, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        MissingAssetError, match=r"(?s)only a pickle \(pytorch_model\.bin\).*repro assets convert published"
    ):
        measure("published", context)
    with pytest.raises(MissingAssetError, match=r"(?s)transformersbook/.* is not available.*--checkpoints DIR"):
        measure("published", replace(context, checkpoints=None))


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ("joy sadness love anger fear surprise", "its classes are"),
        ("LABEL_1 LABEL_0 LABEL_2 LABEL_3 LABEL_4 LABEL_5", "its classes are"),
        ("NEGATIVE POSITIVE", "cannot be used"),
        ("LABEL_0 LABEL_1 LABEL_2 LABEL_3 LABEL_4 LABEL_5 LABEL_6", "cannot be used"),
    ],
)
def test_other_classes_or_another_order_are_refused_and_never_scored(
    names: str, what: str, context: Context, folder: Path
) -> None:
    numbered = {str(i): name for i, name in enumerate(names.split())}
    config = {**json.loads((folder / "config.json").read_text()), "id2label": numbered}
    (folder / "config.json").write_text(json.dumps({**config, "label2id": {v: k for k, v in numbered.items()}}))
    with pytest.raises(CheckpointError, match=what):
        measure("published", context)
