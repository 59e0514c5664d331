"""The tour of six tasks that opens the seminar, on the letter and question of the notebook that is being verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from repro.assets.checkpoints import Checkpoint, file_sha256, locate_checkpoint
from repro.assets.notebook import tour_texts
from repro.assets.recipes import TINY, TOUR
from repro.errors import CheckpointError, MissingAssetError
from repro.records.private import without_private_parts
from repro.records.record import Measurements
from repro.sections.context import Context, timed

if TYPE_CHECKING:
    from repro.assets.notebook import TourTexts


def run(context: Context, seed: int) -> Measurements:
    """Run each task whose checkpoint is here; `seed` changes nothing, the one task that draws has the notebook's.

    A task whose checkpoint is missing or unusable stands under `not_run` with the reason; MissingAssetError where
    that is so of all six, or where the letter is missing.
    """
    del seed
    texts = tour_texts(context.seminar, rehearsal=context.corpus.stamp.name == "rehearsal")
    facts: dict[str, JsonValue] = {}
    checkpoints: dict[str, JsonValue] = {}
    not_run: dict[str, JsonValue] = {}
    seconds: dict[str, float] = {}
    for task, pinned in TOUR.items():
        try:
            found = _locate(context, task)
            with timed(seconds, task):
                facts[task] = _perform(context, task, found, texts)
        except CheckpointError as error:
            not_run[task] = without_private_parts(str(error))
        else:
            checkpoints[task] = {
                "repository": pinned.checkpoint if context.recipe.name != TINY.name else found.source,
                "revision": pinned.revision,
                "weights_sha256": found.weights_sha256,
                "source": found.source,
            }
    if not facts:
        first = str(next(iter(not_run.values())))
        what, _, remedy = first.partition("\n")
        raise MissingAssetError(f"none of the {len(TOUR)} checkpoints of the tour can be used: {what}; …", remedy)
    facts |= {"texts_sha256": dict(texts.sha256()), "checkpoints": checkpoints}
    if not_run:
        facts["not_run"] = not_run
    return Measurements(facts=facts, seconds=seconds)


def _locate(context: Context, task: str) -> Checkpoint:
    if context.recipe.name != TINY.name:
        return locate_checkpoint(TOUR[task], context.checkpoints)
    from repro.assets.builtin.tiny import tiny_tour_folder

    folder = tiny_tour_folder(task)
    return Checkpoint(
        folder=folder, weights_sha256=file_sha256(folder / "model.safetensors"), source="built on the spot"
    )


def _perform(context: Context, task: str, found: Checkpoint, texts: TourTexts) -> JsonValue:
    from repro.sections.tour_tasks import TASKS

    with context.progress.wait(f"tour, {task}"):
        return TASKS[task](found.folder, texts, context.accelerator.device)
