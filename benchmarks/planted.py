"""How often `verify --catalogue rehearsal` notices a fault of the training that the record does not know of.

`python -m benchmarks.planted` fine-tunes all-MiniLM-L6-v2 on the rehearsal corpus, once a seed with each fault planted
and once with none, asks `verify` of each run alone, and writes results/planted-faults.csv: 40 runs, each about 80
seconds of one core. Started again, it goes on: records are kept below build/planted.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
import typer
from scipy.stats import binomtest
from torch import nn

from repro.display import Table
from repro.sections import section_named
from repro.sections.context import Context
from repro.sections.runner import open_context, run_sections
from repro.spec import Device, Precision, RunSpec, parse_seeds
from repro.training import loop

Noticed = Mapping[str, Sequence[bool]]  # by fault, a run each
fit, make_optimizer = loop.fit, loop.make_optimizer


def with_half_the_rate(model: nn.Module, recipe: Any) -> torch.optim.AdamW:
    """Make the optimizer at half the learning rate."""
    return make_optimizer(model, replace(recipe, learning_rate=recipe.learning_rate / 2))


def with_shuffled_labels(model: Any, *, train: Any, seed: int, **options: Any) -> Iterator[Any]:
    """Train on the same texts and labels, each text with the label of another."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    return fit(model, train=replace(train, labels=train.labels[order]), seed=seed, **options)


def without_dropout(model: Any, **options: Any) -> Iterator[Any]:
    """Train a model that drops nothing."""
    for layer in (module for module in model.modules() if isinstance(module, nn.Dropout)):
        layer.p = 0.0
    return fit(model, **options)


FAULTS: Mapping[str, tuple[str, Callable[..., Any]]] = {  # what of the loop is replaced, and by what
    "none": ("fit", fit),
    "learning rate halved": ("make_optimizer", with_half_the_rate),
    "labels shuffled": ("fit", with_shuffled_labels),
    "dropout off": ("fit", without_dropout),
}


@contextmanager
def planted(fault: str) -> Iterator[None]:
    """Train with the fault within the block."""
    name, replacement = FAULTS[fault]
    with patch.object(loop, name, replacement):
        yield


def is_noticed(fault: str, seed: int, context: Context, results: Path, catalogue: str) -> bool:
    """Fine-tune with the fault unless that has been done, and tell whether `verify` exits with 1 on that run alone."""
    with planted(fault), TemporaryDirectory() as models:
        list(run_sections([section_named("finetune")], replace(context, save=Path(models)), [seed], results))
    verify = [sys.executable, "-m", "repro", "verify", "--results", str(results), "--catalogue", catalogue]
    done = subprocess.run(verify, check=False, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"verify answered {done.returncode}, neither 0 nor 1, to {results}\n{done.stdout}{done.stderr}")
    return done.returncode == 1


def table_of(noticed: Noticed) -> Table:
    """One row a fault: how many of its runs were noticed, and the exact 95 % interval (Clopper and Pearson)."""
    rows = []
    for fault, runs in noticed.items():
        interval = binomtest(sum(runs), len(runs)).proportion_ci(method="exact")
        share = f"{sum(runs) / len(runs):.2f}"
        rows.append((fault, str(len(runs)), str(sum(runs)), share, f"{interval.low:.2f}", f"{interval.high:.2f}"))
    return Table(("planted", "runs", "noticed", "share", "at least", "at most"), tuple(rows))


def main(
    seeds: str = "0-9",
    epochs: int = 6,
    catalogue: str = "rehearsal",
    records: Path = Path("build", "planted"),
    output: Path = Path("results", "planted-faults.csv"),
) -> None:
    """Run every fault on every seed, write the table and print it."""
    way: dict[str, Any] = {"device": Device.CPU, "precision": Precision.FP32, "epochs": epochs}
    context = open_context(RunSpec(recipe="minilm", corpus="rehearsal", **way))
    noticed = {
        fault: [
            is_noticed(fault, seed, context, records / fault.replace(" ", "-") / f"seed{seed}", catalogue)
            for seed in parse_seeds(seeds)
        ]
        for fault in FAULTS
    }
    table = table_of(noticed)
    output.write_text(table.to_csv(), encoding="utf-8")
    sys.stdout.write(table.to_markdown())


if __name__ == "__main__":
    typer.run(main)
