"""How to run it again: the command of every way that the records were run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from repro.records.record import RunRecord

RECIPES_EPOCHS = 2  # of every recipe; another number was asked for


def commands(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return (what it ran, command) for every recipe, corpus and way of running it, in the records' order."""
    ways: dict[tuple[str, ...], tuple[str, set[int], dict[str, None]]] = {}
    for record in records:
        if record.experiment == "published":
            continue  # its recipe is the book's model: it runs with any other
        options, what = (
            _options(record),
            f"{record.recipe.name} on {record.corpus.name}, {record.settings.precision}, {record.settings.batching}",
        )
        _, seeds, experiments = ways.setdefault(tuple(options), (what, set(), {}))
        seeds.add(record.settings.seed)
        experiments[record.experiment] = None
    return [
        (what, shlex.join(["python", "-m", "repro", "run", *experiments, *options, "--seeds", _ranges(seeds)]))
        for options, (what, seeds, experiments) in ways.items()
    ]


def _options(record: RunRecord) -> list[str]:
    settings = record.settings
    corpus = "hub" if record.corpus.name == "emotion" else record.corpus.name
    options = ["--recipe", record.recipe.name, "--corpus", corpus, "--precision", settings.precision,
               "--batching", settings.batching, "--device", settings.device]  # fmt: skip
    if settings.protocol != "seeded":
        options += ["--protocol", settings.protocol]
    if settings.micro_batches != 1:
        options += ["--micro-batches", str(settings.micro_batches)]
    if record.recipe.epochs != RECIPES_EPOCHS:
        options += ["--epochs", str(record.recipe.epochs)]
    if settings.limit is not None:
        options += ["--limit", str(settings.limit)]
    return options


def _ranges(seeds: set[int]) -> str:
    """Write seeds as `--seeds` takes them: 0-4,7."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
