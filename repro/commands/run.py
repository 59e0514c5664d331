"""`repro run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.commands.options import Checkpoints, CorpusSource, RecipeName, Results
from repro.commands.shown import parts_not_run, show
from repro.errors import MissingAssetError, ReproError

if TYPE_CHECKING:
    from repro.records.record import RunRecord
    from repro.sections.context import Context
    from repro.sections.registry import Experiment
    from repro.training.resume.keeper import Keeping


def run(
    experiments: Annotated[list[str] | None, typer.Argument(help="All of them, where none is named.")] = None,
    recipe: RecipeName = "distilbert",
    corpus: CorpusSource = "hub",
    checkpoints: Checkpoints = None,
    seeds: Annotated[str, typer.Option(help="0, 0,2,5 or 0-4.")] = "0",
    protocol: Annotated[
        str, typer.Option(help="seeded, or as-published (head drawn before the seed is set).")
    ] = "seeded",
    precision: Annotated[str, typer.Option(help="fp32, or bf16 autocast.")] = "fp32",
    batching: Annotated[
        str, typer.Option(help="packed (no padding), dynamic, or padded as in the notebook.")
    ] = "packed",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    micro_batches: Annotated[int, typer.Option(help="Parts of a batch, whose gradients are accumulated.")] = 1,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's; no longer comparable.")] = None,
    limit: Annotated[int | None, typer.Option(help="First N rows of each split; no longer comparable.")] = None,
    seminar: Annotated[
        Path | None, typer.Option(help="The notebook to verify (.ipynb or its text): the tour reads its letter there.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Keep fine-tuned models in this folder; inference alone reads them there.")
    ] = None,
    track: Annotated[str, typer.Option(help="none, wandb or tensorboard, for fine-tuning.")] = "none",
    spread: Annotated[
        str, typer.Option(help="What several processes share: every batch, or seeds (each runs whole seeds alone).")
    ] = "batch",
    again: Annotated[bool, typer.Option("--again", help="Run also what has a record of just this run.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with what is unfinished; refused where none of these runs was begun."),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin at step 0, and drop what was unfinished.")] = False,
    save_every: Annotated[
        int | None, typer.Option(help="Steps between saved states of the training; by the clock, if left out.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Run experiments and write a record for each recipe, corpus and seed.

    What has a record of just this run is not run again, and what was interrupted goes on where its state was saved.

    Exit code 2 also where an asset of one experiment is missing: it is named, and all else has run.
    """
    from repro.records.record import inside, prepare_results
    from repro.sections.context import choose, make_context, parse_seeds
    from repro.sections.models import prepare_models
    from repro.sections.once import check_resumable
    from repro.sections.registry import EXPERIMENTS, experiments_named, run_and_record
    from repro.training.processes import SPREADS, leave_group
    from repro.training.progress import Progress

    chosen, parsed = experiments_named(experiments or []), parse_seeds(seeds)
    everyones, progress = parsed, None
    if choose("spread", spread, SPREADS) == "seeds":
        place = leave_group()
        parsed = place.share(parsed)
        progress = Progress() if place.number else None  # one process draws
        if not parsed:
            sys.stderr.write(f"process {place.number} of {place.count}: fewer seeds than processes, nothing to do\n")
        chosen = [experiment for experiment in chosen if parsed and (experiment.seeded or place.number == 0)]
    keeping = _keeping(again=again, resume=resume, fresh=fresh, save_every=save_every)
    prepare_results(results)
    context = make_context(
        recipe=recipe, corpus=corpus, checkpoints=checkpoints, protocol=protocol, precision=precision,
        batching=batching, device=device, micro_batches=micro_batches, epochs=epochs, limit=limit, seminar=seminar,
        save=save, track=track, tracking_folder=inside(results, results / "tracking"),
        progress=progress,
    )  # fmt: skip
    if resume and chosen:
        check_resumable(chosen, context, everyones, results)
    if save and "finetune" in [experiment.name for experiment in chosen]:
        prepare_models(context, parsed)
    _say_what_runs(context)
    missing: list[str] = []

    def tell_missing(experiment: Experiment, error: ReproError) -> None:
        missing.append(experiment.name)
        if context.accelerator.is_main_process:
            sys.stderr.write(f"{experiment.name} did not run: {error}\n")

    for record, path in run_and_record(chosen, context, parsed, results, keeping=keeping, on_missing=tell_missing):
        _tell(record, path, context, EXPERIMENTS[record.experiment].what)
        missing += parts_not_run(record)
    if missing:
        raise typer.Exit(MissingAssetError.exit_code)


def _keeping(**options: Any) -> Keeping:
    from repro.training.resume.keeper import Keeping

    def tell(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    def tell_done(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    return Keeping(tell=tell, tell_done=tell_done, **options)


def _tell(record: RunRecord, path: Path, context: Context, what: str) -> None:
    seconds = sum(record.seconds.values())
    seed = f"{record.experiment}, seed {record.settings.seed}"
    sys.stdout.write(f"{seed}: {what}; {seconds:.1f} s{_headline(record)}\n  {path}\n")
    if context.save and "not_saved" in record.facts:
        sys.stderr.write(f"the model was not saved: {record.facts['not_saved']}; its record is complete\n")
    short: Any = record.facts.get("out_of_memory", [])
    for found in short:
        sys.stderr.write(
            f"memory ran short in step {found['step']}: from there on each batch was taken in "
            f"{found['micro_batches']} parts, their gradients added up; the record says so\n"
        )
    show(record, context)


def _say_what_runs(context: Context) -> None:
    from repro.training.loop import why_slow

    if context.progress.enabled:
        sys.stderr.write(
            f"{context.recipe.name} ({context.checkpoint.source}) on {context.corpus.stamp.name}, "
            f"{context.device}, {context.precision}, {context.batching} batches\n"
        )
    if told := why_slow(context.device, context.precision):
        sys.stderr.write(f"{told}\n")


def _headline(record: RunRecord) -> str:
    last = [name for name in record.scores if not name.startswith(("dummy", "test", "converged", "stopped"))]
    if not last:
        return ""
    scores = record.scores[last[-1]]
    return f", {last[-1]} accuracy {scores.accuracy:.4f}, weighted F1 {scores.weighted_f1:.4f} (n = {scores.n:,})"
