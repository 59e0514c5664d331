"""Fine-tuning the whole encoder (seed, "Fine-Tuning Transformers"): scores after each epoch, test once at the end."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from repro.records.record import LABELS, Measurements, RowResults, Scores
from repro.sections.context import Context, timed
from repro.sections.models import own_model, save_model
from repro.sections.tracking import tracked
from repro.training.metrics import confusion_rates, most_often_taken_for, score

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from repro.training.epochs import EpochResult
    from repro.training.predict import RowOutputs
    from repro.training.resume.keeper import Keeper

HARDEST = 10


def run(context: Context, seed: int, keeper: Keeper | None = None) -> Measurements:
    """Fine-tune and score; the final epoch counts, not the best one. A keeper saves states and goes on from them."""
    with own_model(context, seed):
        return _train_and_score(context, seed, keeper)


def _train_and_score(context: Context, seed: int, keeper: Keeper | None) -> Measurements:
    from repro.training.loop import fit
    from repro.training.predict import predict_rows
    from repro.training.short_memory import short_memory_told

    seconds: dict[str, float] = {}
    with timed(seconds, "tokenize"):
        examples = context.examples
    with timed(seconds, "load"):
        model, head_seed = _draw_model(context, seed, keeper)
    shared: dict[str, Any] = {
        "accelerator": context.accelerator,
        "batching": context.batching,
        "progress": context.progress,
    }
    labels = {split: context.corpus.labels(split) for split in ("validation", "test")}
    results: list[EpochResult] = []
    scores: dict[str, Scores] = {}
    with tracked(context, seed) as log, short_memory_told("fine-tuning"):
        for result in fit(
            model,
            recipe=context.recipe,
            train=examples["train"],
            validation=examples["validation"],
            seed=seed,
            micro_batches=context.micro_batches,
            keeper=keeper,
            **shared,
        ):
            results.append(result)
            scored = _score(labels["validation"], result.validation)
            scores[f"epoch-{result.epoch.epoch}/validation"] = scored
            log(result, {"loss": result.validation.mean_loss, "accuracy": scored.accuracy, "f1": scored.weighted_f1})
    seconds["train"] = sum(result.epoch.train_seconds for result in results)
    seconds["evaluate"] = sum(result.evaluate_seconds for result in results)
    if keeper is not None and keeper.seconds:
        seconds["states"] = keeper.seconds
    with timed(seconds, "test"), short_memory_told("the test split"):
        tested = predict_rows(model, examples["test"], batch_size=context.recipe.batch_size, **shared)
    context.accelerator.free_memory()  # else it keeps this seed's model and optimizer beside the next one's
    final = results[-1].validation
    scores["test"] = _score(labels["test"], tested)
    with timed(seconds, "save"):
        saved = _save(model, context, seed, scores)
    return Measurements(
        facts={
            **_facts(scores[f"epoch-{len(results)}/validation"], final),
            **_counts(results, model.num_parameters(exclude_embeddings=True)),
            "head_seed": head_seed,
            "processes": context.accelerator.num_processes,
            **saved,
            **(keeper.facts() if keeper else {}),
            "truncated": sum(found.tokens.truncated for found in examples.values()),
        },
        scores=scores,
        epochs=[result.epoch for result in results],
        rows={"validation": _rows(labels["validation"], final), "test": _rows(labels["test"], tested)},
        seconds=seconds,
    )


def _draw_model(context: Context, seed: int, keeper: Keeper | None) -> tuple[PreTrainedModel, int]:
    """Load the checkpoint and draw its head; return the model and the head's seed.

    Protocol `seeded` draws the head after `seed` is set; `as-published` draws it before, as the notebook does,
    from a head seed that is new for every run and stands in the record, and in the states of the run.
    """
    from transformers import set_seed

    from repro.assets.loading import load_classifier

    head_seed = seed if context.protocol == "seeded" else secrets.randbelow(2**31)
    if keeper is not None:
        head_seed = keeper.notes.setdefault("head_seed", head_seed)
    set_seed(head_seed)
    return load_classifier(context.checkpoint.folder), head_seed


def _counts(results: list[EpochResult], parameters: int) -> dict[str, JsonValue]:
    """Return steps and computed pieces, and the Trainer's total_flos: forward 2, backward 4 a parameter and piece."""
    pieces = sum(result.computed_pieces for result in results)
    doublings: list[JsonValue] = [asdict(each) for result in results for each in result.doublings]
    return {
        **({"out_of_memory": doublings} if doublings else {}),
        "steps_per_epoch": results[0].epoch.steps,
        "steps": sum(result.epoch.steps for result in results),
        "computed_pieces": pieces,
        "total_flos": 6 * parameters * pieces,
    }


def _save(model: PreTrainedModel, context: Context, seed: int, scores: dict[str, Scores]) -> dict[str, JsonValue]:
    """Keep the model for those who read it later; a disk that refuses it does not cost the training's record."""
    if not context.accelerator.is_main_process:
        return {}
    try:
        return {"saved_model": save_model(model, context, seed, scores).name}
    except OSError as error:
        return {"saved_model": None, "not_saved": error.strerror or "the disk refused it"}


def _facts(final: Scores, outputs: RowOutputs) -> dict[str, JsonValue]:
    """Return what the claims ask of the final epoch: confusions, and the rows of highest loss, highest first."""
    return {
        "hardest_rows": outputs.losses.argsort(descending=True)[:HARDEST].tolist(),
        "confusion_rates": confusion_rates(final.confusion),
        "most_often_taken_for": dict(most_often_taken_for(final.confusion, LABELS)),
    }


def _score(labels: list[int], outputs: RowOutputs) -> Scores:
    return score(labels, outputs.predictions, classes=len(LABELS), loss=outputs.mean_loss)


def _rows(labels: list[int], outputs: RowOutputs) -> RowResults:
    return RowResults(
        labels=labels,
        predictions=outputs.predictions,
        losses=[round(loss, 6) for loss in outputs.losses.tolist()],
    )
