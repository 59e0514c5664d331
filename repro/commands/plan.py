"""`repro run --dry-run`: what a run would do, on the evidence of the records; neither torch nor the Hub is asked."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import typer

from repro.commands.models import megabytes_of, report_assets
from repro.commands.options import write_table
from repro.errors import UsageError
from repro.records.provenance import library_versions, source_sha256
from repro.records.store import read_records
from repro.sections.context import module_of

if TYPE_CHECKING:
    from repro.records.schema import RunRecord
    from repro.sections.context import Section
    from repro.spec import RunSpec


def write_runs(spec: RunSpec, sections: Sequence[Section], seeds: Sequence[int], results: Path, *, again: bool) -> None:
    """Write which runs are completed, which would run, and how long such runs took by the records in `results`."""
    records = read_records(results) if (results / "runs").is_dir() else []
    rows, ahead = [], list[list[float]]()
    for section in sections:
        same = [record for record in records if record.experiment == section.name]
        took = [sum(r.seconds.values()) for r in same if _differing(r, spec) <= {"seed", "protocol"}]
        evidence = f"{median(took):,.1f} s (median of {len(took)})" if took else "no record says"
        for seed in section.seeds(seeds):
            completed = not again and any(_completes(record, replace(spec, seed=seed)) for record in same)
            rows.append((section.name, str(seed), "completed, skipped" if completed else "runs", evidence))
            ahead += [] if completed else [took]
    write_table(("section", "seed", "what happens", "seconds in the records"), rows)
    known = [median(took) for took in ahead if took]
    about = f"about {sum(known):,.0f} s for {len(known)} of them by the records" if known else "no record says how long"
    typer.echo(f"{len(ahead)} of {len(rows)} would run: {about}")


def write_downloads(recipe: str, sections: Sequence[Section], corpus: str, checkpoints: Path | None) -> None:
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


def _completes(record: RunRecord, spec: RunSpec) -> bool:
    """Tell whether it is a complete record of this run by this code and these libraries; the key itself takes torch."""
    now = source_sha256(module_of(record.experiment)), library_versions(), platform.python_version()
    then = record.source_sha256, record.provenance.versions, record.provenance.python
    return not _differing(record, spec) and then == now and not record.facts.get("not_run")
