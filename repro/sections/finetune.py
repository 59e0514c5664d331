"""Fine-tuning the whole encoder (seed, "Fine-Tuning Transformers"): scores after each epoch, test once at the end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from repro.records.schema import Epoch, Measurements, RowResults, Scores
from repro.sections.classified import confusion_facts, figures, score_outputs
from repro.sections.context import Context, Section
from repro.sections.models import own_model, save_model
from repro.spec import Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from repro.training.epochs import EpochResult
    from repro.training.resume.checkpointer import Checkpointer

HARDEST = 10  # the book prints as many


def run(context: Context, seed: int, checkpointer: Checkpointer | None = None) -> Measurements:
    """Fine-tune and score; the final epoch counts, not the best one. A checkpointer saves states and resumes."""
    with own_model(context, seed):
        return _train_and_score(context, seed, checkpointer)


def _train_and_score(context: Context, seed: int, checkpointer: Checkpointer | None) -> Measurements:
    from repro.training.device import report_out_of_memory
    from repro.training.loop import fit
    from repro.training.predict import predict_rows

    with context.timed("tokenize"):
        tokenized = context.examples
    with context.timed("load"):
        model, head_seed = _draw_model(context, seed, checkpointer)
    results: list[EpochResult] = []
    scores: dict[str, Scores] = {}
    rows: dict[str, RowResults] = {}
    with _tracked(context, seed) as log, report_out_of_memory("fine-tuning"):
        for result in fit(
            model,
            recipe=context.recipe,
            train=tokenized["train"],
            validation=tokenized["validation"],
            seed=seed,
            micro_batches=context.spec.micro_batches,
            checkpointer=checkpointer,
            **context.running,
        ):
            results.append(result)
            last = f"epoch-{result.epoch.epoch}/validation"
            scores[last], rows["validation"] = score_outputs(context.corpus.labels("validation"), result.validation)
            log(result.epoch, scores[last])
    context.seconds["train"] = sum(result.epoch.train_seconds for result in results)
    context.seconds["evaluate"] = sum(result.evaluate_seconds for result in results)
    if checkpointer is not None and checkpointer.seconds:
        context.seconds["states"] = checkpointer.seconds
    with context.timed("test"), report_out_of_memory("the test split"):
        tested = predict_rows(model, tokenized["test"], batch_size=context.recipe.batch_size, **context.running)
    context.accelerator.free_memory()  # else it keeps this seed's model and optimizer beside the next one's
    scores["test"], rows["test"] = score_outputs(context.corpus.labels("test"), tested)
    pieces = sum(result.computed_pieces for result in results)
    saved: dict[str, Any] = {}
    with context.timed("save"):
        if context.accelerator.is_main_process:
            try:
                saved = {"saved_model": save_model(model, context, seed, scores).name}
            except OSError as error:  # a disk that refuses the model does not cost the training's record
                saved = {"saved_model": None, "not_saved": error.strerror or "the disk refused it"}
    return Measurements(
        facts={
            "hardest_rows": results[-1].validation.losses.argsort(descending=True)[:HARDEST].tolist(),
            **confusion_facts(scores[last]),
            "steps_per_epoch": results[0].epoch.steps,
            "steps": sum(result.epoch.steps for result in results),
            "computed_pieces": pieces,
            # the Trainer's count: forward 2, backward 4 a parameter and piece
            "total_flos": 6 * model.num_parameters(exclude_embeddings=True) * pieces,
            "head_seed": head_seed,
            "processes": context.accelerator.num_processes,
            **saved,
            **(checkpointer.facts() if checkpointer else {}),
        },
        scores=scores,
        epochs=[result.epoch for result in results],
        rows=rows,
    )


def _draw_model(context: Context, seed: int, checkpointer: Checkpointer | None) -> tuple[PreTrainedModel, int]:
    """Load the checkpoint and draw its head; return the model and the head's seed.

    Protocol `seeded` draws the head after `seed` is set; `as-published` draws it before, as the notebook does,
    from a head seed that is new for every run and stands in the record, and in the states of the run.
    """
    from transformers import set_seed

    from repro.assets.loading import load_classifier

    head_seed = seed if context.spec.protocol is Protocol.SEEDED else secrets.randbelow(2**31)
    if checkpointer is not None:
        head_seed = checkpointer.notes.setdefault("head_seed", head_seed)
    set_seed(head_seed)
    return load_classifier(context.checkpoint.folder), head_seed


@contextmanager
def _tracked(context: Context, seed: int) -> Iterator[Callable[[Epoch, Scores], None]]:
    """Give a function that logs an epoch to the tracker of `--track`, if any: the notebook's `report_to`."""
    accelerator = context.accelerator
    if context.track != "none":
        context.tracking.mkdir(parents=True, exist_ok=True)
        accelerator.project_configuration.set_directories(str(context.tracking))
        accelerator.log_with = [context.track]
        stamp = context.recipe_stamp.model_dump() | context.settings(seed).model_dump(exclude_none=True)
        accelerator.init_trackers("seminar-repro", config={**stamp, "corpus": context.corpus.stamp.name})

    def log(epoch: Epoch, scores: Scores) -> None:
        values = epoch.model_dump(include={"epoch", "train_loss", "train_seconds", "tweets_per_second"})
        values |= {"validation_loss": scores.loss, "validation_accuracy": scores.accuracy}
        accelerator.log({**values, "validation_f1": scores.weighted_f1}, step=epoch.epoch * epoch.steps)

    try:
        yield log
    finally:
        for tracker in accelerator.trackers:  # end_training would also end the processes' group
            tracker.finish()
        accelerator.trackers.clear()


__all__ = ["SECTION", "figures", "run"]
SECTION = Section.of(
    globals(),
    heading="Fine-tuning",
    what="two epochs of fine-tuning, scored after each",
    seeded=True,
    together=True,
    resumable=True,
)
