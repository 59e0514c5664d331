"""The tour of six tasks that opens the seminar, on the letter and question of the notebook that is being verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from repro.assets.checkpoints import Checkpoint, file_sha256, locate_checkpoint
from repro.assets.notebook import tour_texts
from repro.assets.recipes import TINY, TOUR
from repro.display.table import Table
from repro.errors import CheckpointError, MissingAssetError
from repro.records.private import without_private_parts
from repro.records.schema import Measurements, RunRecord
from repro.records.store import newest_runs
from repro.sections.context import Context
from repro.sections.section import Section

if TYPE_CHECKING:
    from repro.assets.corpus import Corpus

MOST_SHOWN = 12  # groups of entities; the seminar's letter has ten


def run(context: Context, _seed: int) -> Measurements:
    """Run each task whose checkpoint is here; another seed changes nothing, the one task that draws has the notebook's.

    A task whose checkpoint is missing or unusable stands under `not_run` with the reason; MissingAssetError where
    that is so of all six, or where the letter is missing.
    """
    from repro.sections.tour_tasks import TASKS

    texts = tour_texts(context.sources.seminar, rehearsal=context.corpus.stamp.name == "rehearsal")
    facts: dict[str, JsonValue] = {}
    checkpoints: dict[str, JsonValue] = {}
    not_run: dict[str, JsonValue] = {}
    for task, pinned in TOUR.items():
        try:
            checkpoint = _locate(context, task)
            with context.timed(task), context.progress.wait(f"tour, {task}"):
                facts[task] = TASKS[task](checkpoint.folder, texts, context.accelerator.device)
        except CheckpointError as error:
            not_run[task] = without_private_parts(str(error))
        else:
            checkpoints[task] = {
                "repository": pinned.checkpoint if context.recipe.name != TINY.name else checkpoint.source,
                "revision": pinned.revision,
                "weights_sha256": checkpoint.weights_sha256,
                "source": checkpoint.source,
            }
    if not facts:
        first = str(next(iter(not_run.values())))
        what, _, remedy = first.partition("\n")
        raise MissingAssetError(f"none of the {len(TOUR)} checkpoints of the tour can be used: {what}; …", remedy)
    facts |= {"texts_sha256": dict(texts.sha256()), "checkpoints": checkpoints}
    if not_run:
        facts["not_run"] = not_run
    return Measurements(facts=facts)


def _locate(context: Context, task: str) -> Checkpoint:
    if context.recipe.name != TINY.name:
        return locate_checkpoint(TOUR[task], context.sources.checkpoints)
    from repro.assets.builtin.tiny import tiny_tour_folder

    folder = tiny_tour_folder(task)
    return Checkpoint(
        folder=folder, weights_sha256=file_sha256(folder / "model.safetensors"), source="built on the spot"
    )


def printed(record: RunRecord, _corpus: Corpus) -> Iterator[Table]:
    """Show what the tasks gave."""
    yield tour_table(record)


def tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return the table of the newest record."""
    runs = newest_runs(records, SECTION.name)
    return {"tour": tour_table(runs[-1])} if runs else {}


def tour_table(record: RunRecord) -> Table:
    """One row a task that ran: its checkpoint and what it gave."""
    used = record.at("facts.checkpoints").items()
    rows = ((task, checkpoint["repository"], _in_words(record.at(f"facts.{task}"))) for task, checkpoint in used)
    return Table(("task", "checkpoint", "result"), tuple(rows))


def _in_words(result: Any) -> str:
    if isinstance(result, list):
        groups = [f"{e['word']} ({e['entity_group']} {e['score']:.3f}, {e['start']}–{e['end']})" for e in result]
        return "; ".join(groups[:MOST_SHOWN]) + (f"; … {len(groups)} in all" if len(groups) > MOST_SHOWN else "")
    if "label" in result:
        return f"{result['label']} {result['score']:.4f}"
    if "answer" in result:
        return f"{result['answer']} ({result['start']}–{result['end']}, {result['score']:.4f})"
    text = result["text"] if "text" in result else "…" + result["continuation"]
    return f"{text.strip()} ({result['tokens']} tokens)"


SECTION = Section(
    name="tour",
    heading="Tour",
    what="six tasks on a letter",
    run=run,
    reads=lambda context, seed: context.sources.seminar,
    printed=printed,
    tables=tables,
)
