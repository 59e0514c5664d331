"""The notebook's computing cells, one after the other, as its reader runs them: `python -m benchmarks.notebook`.

Only what no longer runs is replaced: `Trainer(tokenizer=…)`. Pictures are drawn by neither side of the comparison.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import MinMaxScaler
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer
from umap import UMAP

from benchmarks.peer import BATCH, trainer
from repro.assets.checkpoints import locate_checkpoint
from repro.assets.corpus import load_corpus
from repro.assets.recipes import recipe_named


def main(
    recipe: Annotated[str, typer.Option()],
    corpus: Annotated[str, typer.Option()],
    checkpoints: Annotated[Path | None, typer.Option()] = None,
    limit: Annotated[int | None, typer.Option()] = None,
    device: Annotated[str, typer.Option()] = "cpu",
) -> None:
    """Run every cell on the corpus and checkpoint named, and print the last score."""
    checkpoint = locate_checkpoint(recipe_named(recipe), checkpoints).folder
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    encoded = load_corpus(corpus, limit=limit).splits.map(
        lambda batch: tokenizer(batch["text"], padding=True, truncation=True), batched=True, batch_size=None,
        load_from_cache_file=False,
    )  # fmt: skip
    encoded.set_format("torch", columns=["input_ids", "attention_mask", "label"])
    hidden = extract(encoded, AutoModel.from_pretrained(checkpoint).to(device), tokenizer)
    features = {split: np.array(hidden[split]["hidden_state"][:]) for split in ("train", "validation")}
    labels = {split: np.array(hidden[split]["label"][:]) for split in ("train", "validation")}
    UMAP(n_components=2, metric="cosine").fit(MinMaxScaler().fit_transform(features["train"]))
    for model in (LogisticRegression(max_iter=3000), DummyClassifier(strategy="most_frequent")):
        model.fit(features["train"], labels["train"])
        model.score(features["validation"], labels["validation"])
        model.predict(features["validation"])
    sys.stdout.write(f"{fine_tune(encoded, checkpoint, tokenizer, device)}\n")


def extract(encoded: Any, model: Any, tokenizer: Any) -> Any:
    """Add the hidden states of all splits."""

    def extract_hidden_states(batch: dict[str, Any]) -> dict[str, Any]:
        inputs = {name: rows.to(model.device) for name, rows in batch.items() if name in tokenizer.model_input_names}
        with torch.no_grad():
            last_hidden_state = model(**inputs).last_hidden_state
        return {"hidden_state": last_hidden_state[:, 0].cpu().numpy()}

    return encoded.map(extract_hidden_states, batched=True, load_from_cache_file=False)


def fine_tune(encoded: Any, checkpoint: Path, tokenizer: Any, device: str) -> dict[str, float]:
    """Train for two epochs, predict the validation split and return its metrics."""

    def compute_metrics(pred: Any) -> dict[str, float]:
        predicted = pred.predictions.argmax(-1)
        f1 = f1_score(pred.label_ids, predicted, average="weighted")
        return {"accuracy": float(accuracy_score(pred.label_ids, predicted)), "f1": float(f1)}

    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=6)
    given = {"compute_metrics": compute_metrics, "processing_class": tokenizer}
    given |= {"train_dataset": encoded["train"], "eval_dataset": encoded["validation"]}
    logged: dict[str, Any] = {"logging_strategy": "steps", "logging_steps": max(1, len(encoded["train"]) // BATCH)}
    with TemporaryDirectory() as folder:
        often = {"eval_strategy": "epoch", "save_strategy": "steps", **logged}
        tuned = trainer(model, folder, given=given, device=device, **often)
        tuned.train()
        return dict(tuned.predict(encoded["validation"]).metrics or {})


if __name__ == "__main__":
    typer.run(main)
