"""Fine-tuning the whole encoder (seed, "Fine-Tuning Transformers"): scores after each epoch, test once at the end."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from repro.claims.catalogue import load_catalogue
from repro.display.figure import Drawing
from repro.display.table import Table
from repro.records.schema import LABELS, Measurements, RowResults, RunRecord, Scores
from repro.records.store import newest_runs
from repro.sections.classified import cell_table, confusion_facts, confusion_figures, score_outputs
from repro.sections.context import Context
from repro.sections.models import own_model, save_model
from repro.sections.section import Section
from repro.sections.tracking import tracked
from repro.spec import Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from repro.assets.corpus import Corpus
    from repro.training.epochs import EpochResult
    from repro.training.resume.checkpointer import Checkpointer

HARDEST = 10  # the book prints as many, and as many of the easiest


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
    with tracked(context, seed) as log, report_out_of_memory("fine-tuning"):
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
    with context.timed("save"):
        saved = _save(model, context, seed, scores)
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


def _save(model: PreTrainedModel, context: Context, seed: int, scores: dict[str, Scores]) -> dict[str, JsonValue]:
    """Save the model for those who read it later; a disk that refuses it does not cost the training's record."""
    if not context.accelerator.is_main_process:
        return {}
    try:
        return {"saved_model": save_model(model, context, seed, scores).name}
    except OSError as error:
        return {"saved_model": None, "not_saved": error.strerror or "the disk refused it"}


def printed(record: RunRecord, corpus: Corpus) -> Iterator[Table]:
    """Show the hardest and the easiest validation tweets with their texts: to a person, never into a log."""
    if sys.stdout.isatty():
        yield table_with_texts(record, corpus.texts("validation"))


def figures(record: RunRecord) -> Iterator[Drawing]:
    """Draw the confusion matrices of the last epoch, on validation and test."""
    last = f"epoch-{record.epochs[-1].epoch}/validation" if record.epochs else "epoch-2/validation"
    return confusion_figures(record, [name for name in (last, "test") if name in record.scores])


def tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return the cells of the confusion matrices beside the published ones, and the hardest and easiest tweets."""
    runs = newest_runs(records, SECTION.name)
    return {"confusions": cell_table(runs), "hardest": hardest_table(runs)}


def ranked_rows(record: RunRecord) -> list[tuple[str, ...]]:
    """Return the ten validation rows of highest loss, then the ten of lowest; none where no losses were recorded.

    Each is which it is of, its rank from 1, row number, label, predicted label and loss (nats), as text.
    """
    results = record.rows.get("validation")
    if results is None or results.losses is None:
        return []
    labels, predictions, losses = results.labels, results.predictions, results.losses
    rising = sorted(range(len(losses)), key=lambda row: losses[row])
    return [
        (which, str(rank), str(row), LABELS[labels[row]], LABELS[predictions[row]], f"{losses[row]:.4f}")
        for which, rows in (("hardest", rising[::-1][:HARDEST]), ("easiest", rising[:HARDEST]))
        for rank, row in enumerate(rows, 1)
    ]


def table_with_texts(record: RunRecord, texts: Sequence[str]) -> Table:
    """Return the hardest and easiest validation tweets with their texts: for a person who has the corpus."""
    rows = ((which, row, *rest, texts[int(row)]) for which, _, row, *rest in ranked_rows(record))
    return Table(("which", "row", "label", "predicted", "loss", "text"), tuple(rows))


def published_hardest() -> list[int]:
    """Return the ten validation rows that the book prints."""
    return list(load_catalogue().claim_named("finetune.hardest").reported)


def hardest_table(runs: Sequence[RunRecord]) -> Table:
    """One row a fine-tuning and tweet: rank, row number, labels, loss, and whether the book prints it; never a text."""
    published = published_hardest()
    rows = [
        (run.spec.slug, str(run.settings.seed), *row, "yes" if int(row[2]) in published else "no")
        for run in runs
        for row in ranked_rows(run)
    ]
    ranked = ("which", "rank", "validation row", "label", "predicted", "loss")
    return Table(("run", "seed", *ranked, "in the book's ten"), tuple(rows))


SECTION = Section(
    name="finetune",
    heading="Fine-tuning",
    what="two epochs of fine-tuning, scored after each",
    run=run,
    seeded=True,
    together=True,
    resumable=True,
    printed=printed,
    figures=figures,
    tables=tables,
)
