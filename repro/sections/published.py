"""The book's own fine-tuned model, scored as it is published: no training (seed, "Saving and sharing the model")."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.loading import load_classifier, load_model
from repro.assets.recipes import PUBLISHED, TINY
from repro.errors import CheckpointError
from repro.records.schema import LABELS, Measurements
from repro.sections.classified import confusion_facts, score_outputs
from repro.sections.context import Context
from repro.sections.section import Section

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SPLITS = ("validation", "test")


def prepare(context: Context) -> Context:
    """Return the context with the published model for its recipe and checkpoint, so that the record names them.

    CheckpointError where neither the checkpoints folder nor the Hub has it as safetensors.
    """
    if context.recipe.name == TINY.name:
        return context  # rehearsed on the tiny encoder with a head of random weights
    published = locate_checkpoint(PUBLISHED, context.sources.checkpoints)
    revision = published.folder.name if published.source.startswith("the Hub") else "a folder's"
    return replace(context, recipe=replace(PUBLISHED, revision=revision), checkpoint=published)


def run(context: Context, _seed: int) -> Measurements:
    """Score the prepared checkpoint on validation and test; another seed changes nothing."""
    from repro.training.predict import predict_rows

    with context.timed("load"):
        folder = context.checkpoint.folder
        if context.recipe.name == TINY.name:
            model = _with_random_head(folder)
        else:
            refuse_other_labels(folder)
            model = load_model("AutoModelForSequenceClassification", folder)
        model.to(context.accelerator.device)
    with context.timed("tokenize"):
        tokenized = context.examples
    scores, rows = {}, {}
    for split in SPLITS:
        with context.timed(split):
            # fp32, whatever training uses: its claims allow ± 0.0015
            options = {**context.running, "batch_size": context.recipe.batch_size, "fp32": True}
            outputs = predict_rows(model, tokenized[split], **options)
        name = f"published/{split}"
        scores[name], rows[name] = score_outputs(context.corpus.labels(split), outputs)
    return Measurements(
        facts={"source": context.checkpoint.source, **confusion_facts(scores["published/validation"])},
        scores=scores,
        rows=rows,
    )


def refuse_other_labels(folder: Path) -> None:
    """Raise CheckpointError unless the model's classes are the six emotions in order, or LABEL_0 to LABEL_5."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        named = {int(number): str(name) for number, name in (config.get("id2label") or {}).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder}: config.json cannot be read: {error}", "Fetch its files again.") from None
    expected = (dict(enumerate(LABELS)), {i: f"LABEL_{i}" for i in range(len(LABELS))})
    if named not in expected:
        raise CheckpointError(
            f"{folder}: its classes are {list(named.values()) or 'not named'}, expected {list(LABELS)} "
            "or LABEL_0 to LABEL_5",
            f"Take the files of {PUBLISHED.checkpoint}.",
        )


def _with_random_head(encoder: Path) -> PreTrainedModel:
    """Load the encoder with a classification head of random weights, the same in every process."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = load_classifier(encoder)
    model.eval()
    return model


SECTION = Section(
    name="published",
    heading="Inference and sharing",
    what="the book's own fine-tuned model, scored",
    run=run,
    together=True,
    prepare=prepare,
)
