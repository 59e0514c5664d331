"""The book's own fine-tuned model, scored as it is published: no training (seed, "Saving and sharing the model")."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.loading import load_classifier, load_model, quiet
from repro.assets.recipes import PUBLISHED, TINY
from repro.errors import CheckpointError, MissingAssetError
from repro.records.record import LABELS, Measurements, RowResults
from repro.sections.context import Context, timed
from repro.training.metrics import confusion_rates, most_often_taken_for, score

SPLITS = ("validation", "test")


def prepare(context: Context) -> Context:
    """Return the context with the published model for its recipe and checkpoint, so that the record names them.

    MissingAssetError where neither the checkpoints folder nor the Hub has it as safetensors.
    """
    if context.recipe.name == TINY.name:
        return context  # rehearsed on the tiny encoder with a head of random weights
    try:
        found = locate_checkpoint(PUBLISHED, context.checkpoints)
    except CheckpointError as error:
        raise MissingAssetError(error.what, error.remedy) from None
    revision = found.folder.name if found.source.startswith("the Hub") else "a folder's"
    return replace(context, recipe=replace(PUBLISHED, revision=revision), checkpoint=found)


def run(context: Context, seed: int) -> Measurements:
    """Score the prepared checkpoint on validation and test; `seed` changes nothing."""
    del seed
    from repro.training.predict import predict_rows

    seconds: dict[str, float] = {}
    with timed(seconds, "load"), TemporaryDirectory() as spot:
        folder = context.checkpoint.folder
        if context.recipe.name == TINY.name:
            folder = _with_random_head(folder, Path(spot))
        refuse_other_labels(folder)
        model = context.accelerator.prepare_model(
            load_model("AutoModelForSequenceClassification", folder), evaluation_mode=True
        )
    with timed(seconds, "tokenize"):
        examples = {split: context.examples[split] for split in SPLITS}
    scores, rows = {}, {}
    for split in SPLITS:
        with timed(seconds, split):
            outputs = predict_rows(
                model,
                examples[split],
                batch_size=context.recipe.batch_size,
                accelerator=context.accelerator,
                batching=context.batching,
                progress=context.progress,
            )
        labels, found = context.corpus.labels(split), outputs.predictions
        scores[f"published/{split}"] = score(labels, found, classes=len(LABELS), loss=outputs.mean_loss)
        losses = [round(loss, 6) for loss in outputs.losses.tolist()]
        rows[f"published/{split}"] = RowResults(labels=labels, predictions=found, losses=losses)
    confusion = scores["published/validation"].confusion
    return Measurements(
        facts={
            "source": context.checkpoint.source,
            "confusion_rates": confusion_rates(confusion),
            "most_often_taken_for": dict(most_often_taken_for(confusion, LABELS)),
        },
        scores=scores,
        rows=rows,
        seconds=seconds,
    )


def refuse_other_labels(folder: Path) -> None:
    """Raise CheckpointError unless the model's classes are the six emotions in order, or LABEL_0 to LABEL_5."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        named = {int(number): str(name) for number, name in (config.get("id2label") or {}).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder}: config.json cannot be read: {error}", "Fetch its files again.") from None
    for number, emotion in enumerate(LABELS):
        if named.get(number) not in (f"LABEL_{number}", emotion) or len(named) != len(LABELS):
            raise CheckpointError(
                f"{folder}: its classes are {list(named.values()) or 'not named'}, expected {list(LABELS)} "
                "or LABEL_0 to LABEL_5",
                f"Take the files of {PUBLISHED.checkpoint}.",
            )


def _with_random_head(encoder: Path, folder: Path) -> Path:
    """Save the encoder with a classification head of random weights and unnamed classes, as the book's model has."""
    import torch

    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        model = load_classifier(encoder)
        model.config.id2label = {i: f"LABEL_{i}" for i in range(len(LABELS))}
        model.config.label2id = {f"LABEL_{i}": i for i in range(len(LABELS))}
        model.save_pretrained(folder)
    return folder
