"""`repro run --dry-run`: what a run would do, on the evidence of the records; neither torch nor the Hub is asked."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import typer

from repro.commands.models import FETCH, MEGABYTES, WAYS, asset_states
from repro.commands.options import write_table
from repro.errors import UsageError
from repro.records.provenance import library_versions
from repro.records.source import source_sha256
from repro.records.store import read_records
from repro.sections.context import module_of

if TYPE_CHECKING:
    from repro.records.schema import RunRecord
    from repro.sections.context import Section
    from repro.spec import RunSpec

NOT_OF_THE_TIME = {"seed", "protocol"}  # options in which runs may differ and take as long


def write_runs(spec: RunSpec, sections: Sequence[Section], seeds: Sequence[int], results: Path, *, again: bool) -> None:
    """Write which runs are completed, which would run, and how long such runs took by the records in `results`."""
    records = read_records(results) if (results / "runs").is_dir() else []
    rows, seconds, unknown = [], 0.0, 0
    for section in sections:
        same = [record for record in records if record.experiment == section.name]
        took = [sum(r.seconds.values()) for r in same if _differing(r, spec) <= NOT_OF_THE_TIME]
        evidence = f"{median(took):,.1f} s (median of {len(took)})" if took else "no record says"
        for seed in section.seeds(seeds):
            completed = not again and any(_completes(record, replace(spec, seed=seed)) for record in same)
            rows.append((section.name, str(seed), "completed, skipped" if completed else "runs", evidence))
            if not completed:
                seconds, unknown = seconds + (median(took) if took else 0.0), unknown + (not took)
    write_table(("section", "seed", "what happens", "seconds in the records"), rows)
    count = sum(state == "runs" for _, _, state, _ in rows)
    about = [f"about {seconds:,.0f} s on the machines of the records"] if count > unknown else []
    about += [f"for {unknown} no record says how long"] if unknown else []
    typer.echo("; ".join((f"{count} of {len(rows)} would run", *about)))


def write_downloads(recipe: str, sections: Sequence[Section], corpus: str, checkpoints: Path | None) -> None:
    """Write where each asset would come from, and how much would be fetched from the Hub; the Hub is not asked."""
    from repro.assets.recipes import PUBLISHED, TINY, TOUR

    of_section = {"tour": [pinned.name for pinned in TOUR.values()], "published": [PUBLISHED.name]}
    own = [] if recipe == TINY.name else [name for s in sections for name in of_section.get(s.name, ())]
    missing = []
    for name, line, remedy in asset_states([recipe, *own, "corpus"], corpus, checkpoints, use_hub=False):
        if remedy not in ("", WAYS, FETCH):  # the run would be refused too
            raise UsageError(line, remedy)
        typer.echo(line)
        missing += [name] if remedy else []
    unknown = [name for name in missing if name not in MEGABYTES]
    sizes = (
        [f"about {sum(MEGABYTES[name] for name in missing if name in MEGABYTES):,.0f} MB"] if missing else ["nothing"]
    )
    sizes += [f"{', '.join(unknown)}, whose size is not known"] if unknown else []
    typer.echo(f"To fetch from the Hub: {' and '.join(sizes)}. This was a dry run: nothing was run or fetched.")


def _differing(record: RunRecord, spec: RunSpec) -> set[str]:
    """Return the options in which a record's run is not the one asked for; `auto` may have been anything."""
    run = replace(record.spec, section="")
    if record.recipe.name == record.experiment:  # a section with a checkpoint of its own
        run = replace(run, recipe=spec.recipe)
    return {name for name in spec.differing(run) if getattr(spec, name) != "auto"}


def _completes(record: RunRecord, spec: RunSpec) -> bool:
    """Tell whether it is a complete record of this run by this code and these libraries; the key itself takes torch."""
    now = source_sha256(module_of(record.experiment)), library_versions(), platform.python_version()
    then = record.source_sha256, record.provenance.versions, record.provenance.python
    return not _differing(record, spec) and then == now and not record.facts.get("not_run")
