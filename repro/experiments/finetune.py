"""Fine-tuning the whole encoder (seed, "Fine-Tuning Transformers"): scores after each epoch, test once at the end."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from repro.assets.corpus import LABELS
from repro.experiments.context import Context, timed
from repro.records.record import Epoch, Measurements, RowResults, Scores
from repro.training.metrics import confusion_rates, most_often_taken_for, score

if TYPE_CHECKING:
    from repro.training.loop import RowOutputs

HARDEST = 10


def run(context: Context, seed: int) -> Measurements:
    """Fine-tune and score; the final epoch counts, not the best one.

    Protocol `seeded` draws the head after `seed` is set; `as-published` draws it before, as the notebook does,
    from a head seed that is new for every run and stands in the record.
    """
    from transformers import set_seed

    from repro.assets.checkpoints import load_classifier
    from repro.training.loop import fit, predict_rows

    seconds: dict[str, float] = {}
    with timed(seconds, "tokenize"):
        examples = context.examples
    with timed(seconds, "load"):
        head_seed = seed if context.protocol == "seeded" else secrets.randbelow(2**31)
        set_seed(head_seed)
        model = load_classifier(context.checkpoint.folder)
    accelerator = context.accelerator
    labels = {split: context.corpus.labels(split) for split in examples}
    epochs: list[Epoch] = []
    scores: dict[str, Scores] = {}
    pieces, outputs = 0, {}
    seconds["train"] = seconds["evaluate"] = 0.0
    for result in fit(
        model,
        recipe=context.recipe,
        train=examples["train"],
        validation=examples["validation"],
        seed=seed,
        accelerator=accelerator,
        batching=context.batching,
        micro_batches=context.micro_batches,
        progress=context.progress,
    ):
        epochs.append(result.epoch)
        outputs["validation"] = result.validation
        scores[f"epoch-{result.epoch.epoch}/validation"] = _score(labels["validation"], result.validation)
        pieces += result.computed_pieces
        seconds["train"] += result.epoch.train_seconds
        seconds["evaluate"] += result.evaluate_seconds
    with timed(seconds, "test"):
        outputs["test"] = predict_rows(
            model,
            examples["test"],
            batch_size=context.recipe.batch_size,
            accelerator=accelerator,
            batching=context.batching,
            progress=context.progress,
        )
    scores["test"] = _score(labels["test"], outputs["test"])
    accelerator.free_memory()  # else it keeps this seed's model and optimizer beside the next one's
    confusion = scores[f"epoch-{len(epochs)}/validation"].confusion
    losses = outputs["validation"].losses
    parameters = model.num_parameters(exclude_embeddings=True)
    return Measurements(
        facts={
            "steps_per_epoch": epochs[0].steps,
            "steps": sum(epoch.steps for epoch in epochs),
            "head_seed": head_seed,
            "computed_pieces": pieces,
            "total_flos": 6 * parameters * pieces,  # the Trainer's count: forward 2, backward 4 a parameter and piece
            "hardest_rows": losses.argsort(descending=True)[:HARDEST].tolist(),
            "confusion_rates": confusion_rates(confusion),
            "most_often_taken_for": dict(most_often_taken_for(confusion, LABELS)),
            "truncated": sum(found.tokens.truncated for found in examples.values()),
        },
        scores=scores,
        epochs=epochs,
        rows={split: _rows(labels[split], found) for split, found in outputs.items()},
        seconds=seconds,
    )


def _score(labels: list[int], outputs: RowOutputs) -> Scores:
    return score(labels, outputs.predictions, classes=len(LABELS), loss=outputs.mean_loss)


def _rows(labels: list[int], outputs: RowOutputs) -> RowResults:
    return RowResults(
        labels=labels,
        predictions=outputs.predictions,
        losses=[round(loss, 6) for loss in outputs.losses.tolist()],
    )
