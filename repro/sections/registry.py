"""The experiments in the seminar's order, and how one of them becomes a record."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from repro.errors import CheckpointError, MissingAssetError, ReproError, unknown
from repro.records.provenance import code_state, collect_provenance, driver_version, utc_now
from repro.records.record import Measurements, RunRecord
from repro.records.run_key import run_key

if TYPE_CHECKING:
    from repro.sections.context import Context
    from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A section of the seminar; `seeded` tells whether another seed gives another result.

    Of several processes that share a batch all work on one that is `together`, and the main one alone on the others.
    One that is `kept` saves its state on the way, and can be gone on with.
    """

    name: str
    what: str
    seeded: bool = False
    together: bool = False
    kept: bool = False

    def seeds(self, asked: list[int]) -> list[int]:
        """Return the seeds that are worth a run: those asked for, or seed 0 where none makes a difference."""
        return list(asked) if self.seeded else [0]

    @property
    def module(self) -> ModuleType:
        """The file that holds it."""
        return import_module(f"repro.sections.{self.name.replace('-', '_')}")

    def prepared(self, context: Context) -> Context:
        """Return the context with the experiment's own checkpoint, where it has one."""
        found: Context = self.module.prepare(context) if hasattr(self.module, "prepare") else context
        return found

    def measure(self, context: Context, seed: int, keeper: Checkpointer | None = None) -> RunRecord:
        """Run it once and return the record, not yet written."""
        import torch

        started = utc_now()
        code_state()  # of the code that runs: it is read once a process
        context = self.prepared(context)
        measured: Measurements = self.module.run(context, seed, *([keeper] if keeper else ()))
        on_gpu = context.device == "cuda"
        return RunRecord(
            **dict(measured),
            experiment=self.name,
            recipe=context.recipe_stamp(),
            corpus=context.corpus.stamp,
            settings=context.settings(seed),
            run_key=run_key(context.decided_by(self.name, seed)),
            peak_mib=peak_mib(),
            provenance=collect_provenance(
                started=started,
                threads=torch.get_num_threads(),
                accelerator=torch.cuda.get_device_name() if on_gpu else None,
                driver=driver_version() if on_gpu else None,
            ),
        )


EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        e.name: e
        for e in (
            Experiment(name="tour", what="six tasks on a letter"),
            Experiment(name="corpus-facts", what="rows, labels, classes and words a tweet"),
            Experiment(name="token-facts", what="the walk over the tokenizer"),
            Experiment(name="features", what="[CLS] states of the frozen encoder"),
            Experiment(name="projection", what="the features in the plane, and who lies next to whom", seeded=True),
            Experiment(name="linear", what="dummy and logistic regression on the frozen states"),
            Experiment(
                name="finetune",
                what="two epochs of fine-tuning, scored after each",
                seeded=True,
                together=True,
                kept=True,
            ),
            Experiment(name="inference", what="the fine-tuned model on the seminar's tweet", seeded=True),
            Experiment(name="published", what="the book's own fine-tuned model, scored", together=True),
            Experiment(name="api", what="the notebook's calls, tried on the installed libraries"),
        )
    }
)


def experiments_named(names: list[str]) -> list[Experiment]:
    """Return the named experiments in the seminar's order, all of them for no name; UsageError for an unknown one."""
    for name in names:
        if name not in EXPERIMENTS:
            raise unknown("experiment", name, list(EXPERIMENTS))
    return [experiment for name, experiment in EXPERIMENTS.items() if not names or name in names]


def run_and_record(
    experiments: list[Experiment],
    context: Context,
    seeds: list[int],
    results: Path,
    *,
    keeping: CheckpointPolicy | None = None,
    on_missing: Callable[[Experiment, ReproError], None] | None = None,
) -> Iterator[tuple[RunRecord, Path]]:
    """Run every experiment for every seed that matters to it, and write each record as soon as it is there.

    A run whose record stands already is told and not made again, one that was begun is gone on with, as `keeping` says.

    An experiment whose asset is missing or refused is told to `on_missing` and the others still run; with no one to
    tell, the error ends the run. Of several processes that run together the main one writes, and it alone yields;
    ProcessLostError where one of them is gone.
    """
    from accelerate import PartialState

    from repro.sections.once import run_once
    from repro.training.processes import process_count, watched
    from repro.training.resume.checkpointer import CheckpointPolicy

    keeping, count = keeping or CheckpointPolicy(), process_count()
    for experiment in experiments:
        for seed in experiment.seeds(seeds):
            try:
                with watched(count):
                    found = run_once(experiment, context, seed, results, keeping)
            except (MissingAssetError, CheckpointError) as error:
                if on_missing is None:
                    raise
                on_missing(experiment, error)
                break  # another seed has no more of it
            if found is not None:
                yield found
    with watched(count):
        PartialState().wait_for_everyone()
        PartialState().destroy_process_group()


def peak_mib() -> float:
    """Return the most memory that this process has held so far, in MiB, the GPU's not counted."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    with suppress(OSError):  # Linux: the next line's figure would begin with what the parent process once held
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return float(status.partition("VmHWM:")[2].split()[0]) / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # macOS counts bytes, others KiB
