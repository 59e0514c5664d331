"""`repro run`: options become one RunSpec, and records are written and shown; a dry run says what would happen."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.commands.models import megabytes_of, report_assets
from repro.commands.options import Checkpoints, CorpusSource, Results, choose, option_groups, write_table
from repro.errors import MissingAssetError, ReproError, UsageError, unknown
from repro.spec import Batching, Device, Precision, Protocol, RunSpec, parse_seeds

if TYPE_CHECKING:
    from repro.records.schema import RunRecord
    from repro.sections.context import Context, Section


TRACKERS = ("none", "wandb", "tensorboard")  # where the epochs of a fine-tuning are logged besides its record
tell = partial(typer.echo, err=True)


@dataclass(frozen=True, kw_only=True)
class Way:
    """How it is run."""

    recipe: Annotated[str, typer.Option(help="distilbert, minilm or tiny.")] = "distilbert"
    protocol: Annotated[Protocol, choose(Protocol, "Seed set before the head is drawn, or after.")] = Protocol.SEEDED
    precision: Annotated[Precision, choose(Precision, "auto: what the machine computes natively.")] = Precision.AUTO
    batching: Annotated[Batching, choose(Batching, "Without padding, or padded as in the notebook.")] = Batching.PACKED
    device: Annotated[Device, choose(Device, "auto: a usable GPU, else the CPU; gpu means cuda.")] = Device.AUTO
    micro_batches: Annotated[int, typer.Option(help="Parts of a batch, whose gradients are accumulated.")] = 1
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's; no longer comparable.")] = None
    limit: Annotated[int | None, typer.Option(help="First N rows of each split; no longer comparable.")] = None


@dataclass(frozen=True, kw_only=True)
class Places:
    """What is read and written."""

    corpus: CorpusSource = "hub"
    checkpoints: Checkpoints = None
    seminar: Annotated[Path | None, typer.Option(help="The notebook, from which the tour reads its letter.")] = None
    results: Results = Path("results")
    save: Annotated[Path | None, typer.Option(help="Folder of fine-tuned models; inference reads them there.")] = None
    track: Annotated[str, typer.Option(metavar="|".join(TRACKERS), help="For fine-tuning.")] = "none"


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Completed and interrupted runs."""

    again: Annotated[bool, typer.Option("--again", help="Repeat completed runs too.")] = False
    fresh: Annotated[bool, typer.Option("--fresh", help="Start at step 0, and drop what was unfinished.")] = False
    save_every: Annotated[int | None, typer.Option(help="Steps between saved states; left out: by the clock.")] = None


@option_groups
def run(
    sections: Annotated[list[str] | None, typer.Argument(help="All of them, if none is named.")] = None,
    *,
    seeds: Annotated[str, typer.Option(help="0, 0,2,5 or 0-4.")] = "0",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, how long, and be fetched.")] = False,
    way: Way,
    places: Places,
    repeats: Repeats,
) -> None:
    """Run sections of the seminar and write a record for each recipe, corpus and seed.

    Completed runs are skipped, and interrupted ones resume where their state was saved. Exit code 5: an asset of one
    section is missing; it is named, and everything else has run.
    """
    from repro.assets.recipes import recipe_named
    from repro.records.store import inside, prepare_results
    from repro.sections import sections_named

    spec, chosen, numbers = RunSpec(**vars(way)), sections_named(sections or []), parse_seeds(seeds)
    recipe_named(spec.recipe)  # a typo is answered before torch is imported
    if places.track not in TRACKERS:
        raise unknown("tracker", places.track, [*TRACKERS])
    if places.track != "none":
        import_module(places.track)  # one that is missing is named before anything runs
    if dry_run:
        asked = replace(spec, corpus="rehearsal" if places.corpus == "rehearsal" else "emotion")
        _write_runs(asked, chosen, numbers, places.results, repeats.again)
        _write_downloads(spec.recipe, chosen, places.corpus, places.checkpoints)
        return
    from repro.sections.models import check_models, restore_models
    from repro.sections.runner import open_context, run_sections
    from repro.training.resume.checkpointer import CheckpointPolicy

    policy, results = CheckpointPolicy(**vars(repeats), tell=tell, tell_done=typer.echo), places.results
    prepare_results(results)
    context = open_context(
        spec, corpus=places.corpus, checkpoints=places.checkpoints, seminar=places.seminar, seeds=numbers
    )
    context = replace(context, save=places.save, track=places.track, tracking=inside(results, results / "tracking"))
    if places.save:
        restore_models(places.save)
        if "finetune" in [section.name for section in chosen]:
            check_models(context, numbers)
    checkpoint = context.checkpoint.source if any(section.pretrained for section in chosen) else "none is read"
    main, missing = context.accelerator.is_main_process, list[str]()
    if main:
        on = f"on {context.spec.device}; checkpoint: {checkpoint}; {context.precision_reason}"
        typer.echo(f"{context.spec.label}, {on}")

    def report_missing(section: Section, error: ReproError) -> None:
        missing.append(section.name)
        if main:
            tell(f"{section.name} did not run: {error}")

    for record, path in run_sections(chosen, context, numbers, results, policy=policy, on_missing=report_missing):
        missing += _show(record, path, context)
    if missing:
        raise typer.Exit(MissingAssetError.exit_code)


def _show(record: RunRecord, path: Path, context: Context) -> list[str]:
    """Write what a reader of the notebook would look at in this section; return the parts that lacked an asset."""
    from repro.sections import section_named

    section = section_named(record.experiment)
    typer.echo(f"{section.name}, seed {record.settings.seed}: {section.what}; {sum(record.seconds.values()):.1f} s")
    for name, scores in record.scores.items():
        f1 = f"weighted F1 {scores.weighted_f1:.4f} (n = {scores.n:,})"
        typer.echo(f"  {name}: accuracy {scores.accuracy:.4f}, {f1}")
    typer.echo(f"  {path}")
    if context.save and "not_saved" in record.facts:
        tell(f"the model was not saved: {record.facts['not_saved']}; its record is complete")
    for table in section.tables([record]).values():
        write_table(table.columns, table.rows)
    not_run: Any = record.facts.get("not_run", {})
    for name, why in not_run.items():
        tell(f"{section.name}, {name} did not run: {why}")
    return list(not_run)


def _write_runs(spec: RunSpec, sections: Sequence[Section], seeds: Sequence[int], results: Path, again: bool) -> None:
    """Write which runs are completed and under which key, which would run, and how long such runs took by the records.

    A record completes a run of its options, code, libraries and Python; the key of one that would run takes torch.
    """
    from repro.records.provenance import library_versions, source_sha256
    from repro.records.store import read_records
    from repro.sections.context import module_of

    records = read_records(results) if (results / "runs").is_dir() else []
    rows, ahead = [], list[list[float]]()
    for section in sections:
        now = source_sha256(module_of(section.name)), library_versions(), platform.python_version()
        same = [record for record in records if record.experiment == section.name]
        complete = [
            r for r in same if (r.source_sha256, r.provenance.versions, r.provenance.python) == now
            if not again and not r.facts.get("not_run")
        ]  # fmt: skip
        took = [sum(r.seconds.values()) for r in same if _differing(r, spec) <= {"seed", "protocol"}]
        evidence = f"{median(took):,.1f} s (median of {len(took)})" if took else "no record says"
        for seed in section.seeds(seeds):
            keys = [str(r.run_key) for r in complete if not _differing(r, replace(spec, seed=seed))]
            what, key = ("completed, skipped", keys[-1][:12]) if keys else ("runs", "")
            rows.append((section.name, str(seed), what, evidence, key))
            ahead += [] if keys else [took]
    write_table(("section", "seed", "what happens", "seconds in the records", "run key"), rows)
    known = [median(took) for took in ahead if took]
    about = f"about {sum(known):,.0f} s for {len(known)} of them by the records" if known else "no record says how long"
    typer.echo(f"{len(ahead)} of {len(rows)} would run: {about}")


def _write_downloads(recipe: str, sections: Sequence[Section], corpus: str, checkpoints: Path | None) -> None:
    """Write where each asset would come from, and how much would be fetched from the Hub, which is not asked."""
    from repro.assets.checkpoints import WAYS
    from repro.assets.recipes import PUBLISHED, TINY, TOUR

    of_section = {"tour": [pinned.name for pinned in TOUR.values()], "published": [PUBLISHED.name]}
    own = [] if recipe == TINY.name else [name for s in sections for name in of_section.get(s.name, ())]
    recipes = [recipe] if any(section.pretrained for section in sections) else []
    missing = report_assets([*recipes, *own, "corpus"], corpus, checkpoints, use_hub=False)
    for name, remedy in missing.items():
        if remedy != WAYS and (name, corpus) != ("corpus", "hub"):
            raise UsageError(f"the run would stop: {name} is not as it should be", remedy)
    sizes = [megabytes for name in missing if (megabytes := megabytes_of(name))]
    typer.echo(f"To fetch from the Hub: about {sum(sizes):,.0f} MB for {len(sizes)} of {len(missing)} missing assets.")


def _differing(record: RunRecord, spec: RunSpec) -> set[str]:
    """Return the options in which a record's run is not the one asked for; `auto` may have been anything."""
    run = replace(record.spec, section="")
    if record.recipe.name == record.experiment:  # of a section with a checkpoint of its own
        run = replace(run, recipe=spec.recipe)
    return {name for name in spec.differing(run) if getattr(spec, name) != "auto"}
