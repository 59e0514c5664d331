"""The tour of six tasks that opens the seminar, on the letter and question of the notebook that is being verified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from repro.assets.checkpoints import Checkpoint, file_sha256, locate_checkpoint
from repro.assets.notebook import tour_texts
from repro.assets.recipes import TINY, TOUR
from repro.display.table import Table
from repro.errors import CheckpointError, MissingAssetError
from repro.records.private import without_private_parts
from repro.records.schema import Measurements, RunRecord
from repro.records.store import newest_runs
from repro.sections.context import Context, Section

MOST_SHOWN = 12  # groups of entities; the seminar's letter has ten


def run(context: Context, _seed: int) -> Measurements:
    """Run each task whose checkpoint is here; another seed changes nothing, the one task that draws has the notebook's.

    A task whose checkpoint is missing or unusable stands under `not_run` with the reason; MissingAssetError where
    that is so of all six, or where the letter is missing.
    """
    from repro.sections.tour_tasks import TASKS

    texts = tour_texts(context.seminar, rehearsal=context.corpus.stamp.name == "rehearsal")
    facts: dict[str, Any] = {"texts_sha256": dict(texts.sha256()), "checkpoints": {}, "not_run": {}}
    for task, pinned in TOUR.items():
        try:
            checkpoint = _locate(context, task)
            with context.timed(task), context.progress.wait(f"tour, {task}"):
                facts[task] = TASKS[task](checkpoint.folder, texts, context.accelerator.device)
        except CheckpointError as error:
            facts["not_run"][task] = without_private_parts(str(error))
        else:
            facts["checkpoints"][task] = {
                "repository": pinned.checkpoint if context.recipe.name != TINY.name else checkpoint.source,
                "revision": pinned.revision,
                "weights_sha256": checkpoint.weights_sha256,
                "source": checkpoint.source,
            }
    not_run = facts["not_run"] or facts.pop("not_run")
    if len(not_run) == len(TOUR):
        what, _, remedy = next(iter(not_run.values())).partition("\n")
        raise MissingAssetError(f"none of the {len(TOUR)} checkpoints of the tour can be used: {what}; …", remedy)
    return Measurements(facts=facts)


def _locate(context: Context, task: str) -> Checkpoint:
    if context.recipe.name != TINY.name:
        return locate_checkpoint(TOUR[task], context.checkpoints)
    from repro.assets.builtin.tiny import tiny_tour_folder

    folder = tiny_tour_folder(task)
    weights_sha256 = file_sha256(folder / "model.safetensors")
    return Checkpoint(folder=folder, weights_sha256=weights_sha256, source="built on the spot")


def tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return the newest record's tasks that ran, each with its checkpoint and what it gave."""
    rows = [
        (task, checkpoint["repository"], _in_words(record.at(f"facts.{task}")))
        for record in newest_runs(records, "tour")[-1:]
        for task, checkpoint in record.at("facts.checkpoints").items()
    ]
    return {"tour": Table(("task", "checkpoint", "result"), tuple(rows))}


def _in_words(result: Any) -> str:
    if isinstance(result, list):
        more = f"; … {len(result)} in all" if len(result) > MOST_SHOWN else ""
        return "; ".join(map(_in_words, result[:MOST_SHOWN])) + more
    values = {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in result.items()}
    return ", ".join(f"{name} {value}" for name, value in values.items())


SECTION = Section.of(
    globals(),
    heading="Tour",
    what="six tasks on a letter",
    pretrained=False,  # it has checkpoints of its own, which stand among its facts
    reads=lambda context, seed: context.seminar,
)
