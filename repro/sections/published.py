"""The book's own fine-tuned model, scored as it is published: no training (seed, "Saving and sharing the model")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.loading import load_classifier, load_model
from repro.assets.recipes import PUBLISHED, TINY
from repro.errors import CheckpointError
from repro.records.schema import LABELS, Measurements
from repro.sections.classified import confusion_facts, score_outputs
from repro.sections.context import Context, Section

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def prepare(context: Context) -> Context:
    """Return the context with the published model for its recipe, so that the record names it.

    CheckpointError where neither the checkpoints folder nor the Hub has it as safetensors.
    """
    if context.recipe.name == TINY.name:
        return context  # rehearsed on the tiny encoder with a head of random weights
    published = locate_checkpoint(PUBLISHED, context.checkpoints)
    revision = published.folder.name if published.source.startswith("the Hub") else "a folder's"
    return replace(context, recipe=replace(PUBLISHED, revision=revision))


def run(context: Context, _seed: int) -> Measurements:
    """Score the prepared checkpoint on validation and test; another seed changes nothing."""
    from repro.training.predict import predict_rows

    with context.timed("load"):
        model = load_published(context).to(context.accelerator.device)
    with context.timed("tokenize"):
        tokenized = context.examples
    scores, rows = {}, {}
    for split in ("validation", "test"):
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


def load_published(context: Context) -> PreTrainedModel:
    """Load the model; CheckpointError unless its classes are the six emotions in order, or LABEL_0 to LABEL_5."""
    import torch

    folder = context.checkpoint.folder
    if context.recipe.name == TINY.name:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the head's random weights are the same in every process
            model: PreTrainedModel = load_classifier(folder).eval()
            return model
    model = load_model("AutoModelForSequenceClassification", folder)
    config: Any = model.config
    names = [config.id2label.get(i) for i in range(config.num_labels)]
    if names not in ([*LABELS], [f"LABEL_{i}" for i in range(len(LABELS))]):
        raise CheckpointError(
            f"{folder}: its classes are {names}, expected {[*LABELS]} or LABEL_0 to LABEL_5",
            f"Take the files of {PUBLISHED.checkpoint}.",
        )
    return model


SECTION = Section.of(
    globals(), heading="Inference and sharing", what="the book's own fine-tuned model, scored", together=True
)
