"""`repro run`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.commands.options import Checkpoints, CorpusSource, RecipeName, Results, choose, write_table
from repro.errors import MissingAssetError, ReproError, UsageError
from repro.spec import Batching, Device, Precision, Protocol, RunSpec, parse_seeds

if TYPE_CHECKING:
    from repro.records.schema import RunRecord
    from repro.sections.context import Context, Section


class Tracker(StrEnum):
    """Where the epochs of a fine-tuning are logged besides its record."""

    NONE = "none"
    WANDB = "wandb"
    TENSORBOARD = "tensorboard"


def run(
    sections: Annotated[list[str] | None, typer.Argument(help="All of them, if none is named.")] = None,
    recipe: RecipeName = "distilbert",
    corpus: CorpusSource = "hub",
    checkpoints: Checkpoints = None,
    seeds: Annotated[str, typer.Option(help="0, 0,2,5 or 0-4.")] = "0",
    protocol: Annotated[
        Protocol, choose(Protocol, "seeded, or as-published (head drawn before the seed is set).")
    ] = Protocol.SEEDED,
    precision: Annotated[
        Precision, choose(Precision, "Of training: auto (what the machine computes natively), fp32, bf16 or fp16.")
    ] = Precision.AUTO,
    batching: Annotated[
        Batching, choose(Batching, "packed (no padding), dynamic, or padded as in the notebook.")
    ] = Batching.PACKED,
    device: Annotated[Device, choose(Device, "auto, cpu or cuda.")] = Device.AUTO,
    micro_batches: Annotated[int, typer.Option(help="Parts of a batch, whose gradients are accumulated.")] = 1,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's; no longer comparable.")] = None,
    limit: Annotated[int | None, typer.Option(help="First N rows of each split; no longer comparable.")] = None,
    seminar: Annotated[
        Path | None, typer.Option(help="The notebook to verify (.ipynb or its text): the tour reads its letter there.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Save fine-tuned models in this folder; inference alone reads them there.")
    ] = None,
    track: Annotated[Tracker, choose(Tracker, "none, wandb or tensorboard, for fine-tuning.")] = Tracker.NONE,
    again: Annotated[bool, typer.Option("--again", help="Repeat completed runs too.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume what is unfinished; refused if none of these runs was started.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start at step 0, and drop what was unfinished.")] = False,
    save_every: Annotated[
        int | None, typer.Option(help="Steps between saved training states; by the clock, if left out.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Run sections of the seminar and write a record for each recipe, corpus and seed.

    Completed runs are skipped, and interrupted ones resume where their state was saved. Exit code 5: an asset of one
    section is missing; it is named, and everything else has run.
    """
    from repro.records.store import inside, prepare_results
    from repro.sections import sections_named

    spec = RunSpec(
        recipe=recipe, protocol=protocol, precision=precision, batching=batching, device=device,
        micro_batches=micro_batches, epochs=epochs, limit=limit,
    )  # fmt: skip
    chosen, parsed = sections_named(sections or []), parse_seeds(seeds)
    from repro.sections.runner import check_resumable, open_context, run_sections
    from repro.training.resume.checkpointer import CheckpointPolicy

    policy = CheckpointPolicy(
        again=again, resume=resume, fresh=fresh, save_every=save_every, tell=_to_stderr, tell_done=typer.echo
    )
    check_tracker(track)
    prepare_results(results)
    context = open_context(spec, corpus=corpus, checkpoints=checkpoints, seminar=seminar, seeds=parsed)
    context = replace(context, save=save, track=track, tracking=inside(results, results / "tracking"))
    if resume:
        check_resumable(chosen, context, parsed, results)
    main, missing = context.accelerator.is_main_process, list[str]()
    if main:
        on = f"on {context.spec.device}; checkpoint: {context.checkpoint.source}; {context.precision_reason}"
        typer.echo(f"{context.spec.label}, {on}")

    def report_missing(section: Section, error: ReproError) -> None:
        missing.append(section.name)
        if main:
            _to_stderr(f"{section.name} did not run: {error}")

    for record, path in run_sections(chosen, context, parsed, results, policy=policy, on_missing=report_missing):
        missing += _show(record, path, context)
    if missing:
        raise typer.Exit(MissingAssetError.exit_code)


def check_tracker(track: Tracker) -> None:
    """Raise UsageError where the tracker is not installed."""
    if track is not Tracker.NONE and find_spec(track) is None:
        raise UsageError(
            f"--track {track}: {track} is not installed",
            f"Install it with pip install {track}, or leave --track out; nothing was run.",
        )


def _show(record: RunRecord, path: Path, context: Context) -> list[str]:
    """Write what a reader of the notebook would look at in this section; return the parts that lacked an asset."""
    from repro.sections import section_named

    section = section_named(record.experiment)
    seconds = sum(record.seconds.values())
    typer.echo(f"{section.name}, seed {record.settings.seed}: {section.what}; {seconds:.1f} s{_headline(record)}")
    typer.echo(f"  {path}")
    if context.save and "not_saved" in record.facts:
        _to_stderr(f"the model was not saved: {record.facts['not_saved']}; its record is complete")
    for table in section.tables([record]).values():
        write_table(table.columns, table.rows)
    not_run: Any = record.facts.get("not_run", {})
    for name, why in not_run.items():
        _to_stderr(f"{section.name}, {name} did not run: {why}")
    return list(not_run)


def _headline(record: RunRecord) -> str:
    """Return the scores of a section's own classifier on validation, after the last epoch."""
    last = [name for name in record.scores if not name.startswith(("dummy", "test"))]
    if not last:
        return ""
    scores = record.scores[last[-1]]
    return f", {last[-1]} accuracy {scores.accuracy:.4f}, weighted F1 {scores.weighted_f1:.4f} (n = {scores.n:,})"


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)
