"""From a spec to records: a context is opened, each section is run once for each seed, and its record is written.

A completed run is recognised by its key and skipped; an unfinished training resumes from its newest saved state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.corpus import load_corpus
from repro.assets.notebook import tour_texts
from repro.assets.recipes import recipe_named
from repro.errors import CheckpointError, MissingAssetError, ReproError, StateError
from repro.records.provenance import code_state, collect_provenance, driver_version, peak_mib, utc_now
from repro.records.schema import Measurements, RunRecord
from repro.records.store import find_finished, inside, keep_record
from repro.sections.context import Context, Outputs, Sources
from repro.sections.models import model_folder
from repro.sections.section import Section
from repro.sections.tracking import check_tracker
from repro.spec import Device, Precision, RunSpec, differing, run_key
from repro.training.progress import Progress

if TYPE_CHECKING:
    from pydantic import JsonValue

    from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy

UNFINISHED = "unfinished"  # beside `runs` in the results folder
Recorded = tuple[RunRecord, Path]


def open_context(
    spec: RunSpec,
    *,
    sources: Sources | None = None,
    outputs: Outputs | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Context:
    """Check every value, cheapest first, resolve `auto`, then find the checkpoint and load the corpus.

    Processes that share a batch must divide the recipe's; the environment says how many a launcher started.
    """
    sources, outputs, recipe = sources or Sources(), outputs or Outputs(), recipe_named(spec.recipe)
    if spec.epochs is not None:
        recipe = replace(recipe, epochs=spec.epochs)
    if sources.seminar is not None:
        tour_texts(sources.seminar, rehearsal=False)  # what it lacks is said before anything runs
    check_tracker(outputs.track)
    from repro.training.device import resolve_device
    from repro.training.loop import check_micro_batches
    from repro.training.processes import check_processes, process_count, wait_time

    check_processes(recipe.batch_size, process_count())
    wait_time()
    check_micro_batches(spec.micro_batches, recipe.batch_size)
    chosen = resolve_device(Device(spec.device), Precision(spec.precision))
    checkpoint = locate_checkpoint(recipe, sources.checkpoints)
    corpus = load_corpus(sources.corpus or {"emotion": "hub"}.get(spec.corpus, spec.corpus), limit=spec.limit)
    return Context(
        spec=replace(
            spec, section="", seed=0, corpus=corpus.stamp.name, device=chosen.device, precision=chosen.precision
        ),
        recipe=recipe,
        corpus=corpus,
        checkpoint=checkpoint,
        sources=sources,
        outputs=outputs,
        precision_reason=chosen.reason,
        declared_seeds=None if seeds is None else tuple(seeds),
        progress=progress or Progress.for_terminal(),
    )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One section for one seed, in a context that the section has prepared."""

    section: Section
    context: Context
    seed: int

    @classmethod
    def prepare(cls, section: Section, context: Context, seed: int) -> Run:
        """Prepare the section; MissingAssetError for what it lacks, in all processes where one of several lacks it."""
        from accelerate.utils import gather_object

        missing: list[tuple[str, str]] = []
        try:
            context = section.prepare(context)
        except (MissingAssetError, CheckpointError) as error:
            missing.append((error.what, error.remedy))
        if section.together and context.accelerator.num_processes > 1:
            missing = gather_object(missing)
        if missing:
            raise MissingAssetError(*missing[0])
        return cls(section=section, context=context, seed=seed)

    @property
    def label(self) -> str:
        """In words: `finetune, seed 0`."""
        return f"{self.section.name}, seed {self.seed}"

    @cached_property
    def decided_by(self) -> dict[str, JsonValue]:
        """Everything that decides the result."""
        file = self.section.reads(self.context, self.seed)
        return self.context.decided_by(self.section.name, self.seed, file)

    @cached_property
    def key(self) -> str:
        """The run key."""
        return run_key(self.decided_by)

    def measure(self, checkpointer: Checkpointer | None = None) -> RunRecord:
        """Run the section and return the record, not yet written."""
        import torch

        started, context = utc_now(), self.context
        code_state()  # of the code that runs: it is read once a process
        source = str(self.decided_by["source"])
        context.seconds.clear()
        measured: Measurements = self.section.run(context, self.seed, *([checkpointer] if checkpointer else ()))
        on_gpu = context.spec.device is Device.CUDA
        return RunRecord(
            **dict(measured),
            seconds={**context.seconds},
            experiment=self.section.name,
            recipe=context.recipe_stamp(),
            corpus=context.corpus.stamp,
            settings=context.settings(self.seed),
            run_key=self.key,
            source_sha256=source,
            declared_seeds=None if context.declared_seeds is None else self.section.seeds(context.declared_seeds),
            precision_reason=context.precision_reason,
            peak_mib=peak_mib(),
            provenance=collect_provenance(
                started=started,
                threads=torch.get_num_threads(),
                accelerator=torch.cuda.get_device_name() if on_gpu else None,
                driver=driver_version() if on_gpu else None,
            ),
        )


def run_sections(
    sections: Sequence[Section],
    context: Context,
    seeds: Sequence[int],
    results: Path,
    *,
    policy: CheckpointPolicy | None = None,
    on_missing: Callable[[Section, ReproError], None] | None = None,
) -> Iterator[Recorded]:
    """Run every section for every seed that matters to it, and yield each record as soon as it is written.

    A section whose asset is missing or refused goes to `on_missing` and the others still run; without it the error
    ends the run. Of several processes that run together the main one writes, and it alone yields; ProcessLostError
    where one of them is gone.
    """
    from accelerate import PartialState

    from repro.training.processes import process_count, watched
    from repro.training.resume.checkpointer import CheckpointPolicy

    policy, count = policy or CheckpointPolicy(), process_count()
    for section in sections:
        for seed in section.seeds(seeds):
            try:
                with watched(count):
                    recorded = run_once(section, context, seed, results, policy)
            except (MissingAssetError, CheckpointError) as error:
                if on_missing is None:
                    raise
                on_missing(section, error)
                break  # another seed has no more of it
            if recorded is not None:
                yield recorded
    with watched(count):
        PartialState().wait_for_everyone()
        PartialState().destroy_process_group()


def run_once(section: Section, context: Context, seed: int, results: Path, policy: CheckpointPolicy) -> Recorded | None:
    """Make a run and write its record; None where it was completed before, and for all processes but the main one.

    Its states are removed once its record and the model that was to be saved exist. StateError where another process
    is making the same run.
    """
    if not (section.together or context.accelerator.is_main_process):
        return None
    run = Run.prepare(section, context, seed)
    if section.resumable:
        return _run_resumable(run, results, policy)
    return None if _is_completed(run, results, policy) else _write(run.measure(), run, results)


def _run_resumable(run: Run, results: Path, policy: CheckpointPolicy) -> Recorded | None:
    from repro.training.resume.checkpointer import Checkpointer

    unfinished = inside(results, results / UNFINISHED)
    inside(results, unfinished / run.key)
    save, accelerator = run.context.outputs.save, run.context.accelerator
    checkpointer = Checkpointer(unfinished, run.label, run.decided_by, accelerator, policy)
    with checkpointer.locked():
        if _is_completed(run, results, policy):
            if accelerator.is_main_process:
                _report_leftovers(run, checkpointer)
            return None
        with checkpointer.interruptible():
            record = run.measure(checkpointer)
        recorded = _write(record, run, results)
        # where the model that was asked for could not be saved, the last state holds its weights
        if recorded and not (save and "not_saved" in record.facts):
            checkpointer.discard()
        return recorded


def _write(record: RunRecord, run: Run, results: Path) -> Recorded | None:
    return (record, keep_record(record, results)) if run.context.accelerator.is_main_process else None


def _is_completed(run: Run, results: Path, policy: CheckpointPolicy) -> bool:
    """Tell whether the run has a record, and say so; of processes that share it all answer what the main one sees."""
    accelerator, path = run.context.accelerator, None
    if accelerator.is_main_process and not policy.again:
        folder = Path(run.context.corpus.stamp.name, run.context.recipe.name, run.section.name)
        path = find_finished(results, folder, run.key)
    if path is not None:
        policy.tell_done(f"{run.label}: already completed, skipped (--again runs it again): {path}")
    answer = [path is not None]
    if run.section.together and accelerator.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(answer)
    return answer[0]


def _report_leftovers(run: Run, checkpointer: Checkpointer) -> None:
    """Say what else there is of a completed run; a last state that nobody needs is removed.

    States stay where `--again` was interrupted, and the last one where the model that it holds could not be saved.
    """
    save, tell = run.context.outputs.save, checkpointer.policy.tell
    model_missing = bool(save) and not model_folder(run.context, run.seed).is_dir()
    step, steps = checkpointer.newest_step()
    if step and (model_missing or step < steps):
        tell(f"there is a state of it after step {step} of {steps}: --again resumes from it")
    else:
        checkpointer.discard()
    if model_missing:
        how = "saves" if step else "trains it once more and saves"
        tell(f"its model is not in {save}: --again {how} it there")


def check_resumable(sections: Sequence[Section], context: Context, seeds: Sequence[int], results: Path) -> None:
    """Raise StateError unless one of the runs was started and can resume, and say which unfinished ones there are."""
    from repro.training.resume.state import read_state, states_in

    runs = [Run(section=s, context=context, seed=seed) for s in sections if s.resumable for seed in s.seeds(seeds)]
    unfinished = results / UNFINISHED
    if any(states_in(unfinished / run.key) for run in runs):
        return
    others = []
    for newest in (states[0] for folder in sorted(unfinished.glob("*")) if (states := states_in(folder))):
        try:
            decided_by = read_state(newest).decided_by
        except StateError as error:
            others.append(error.what)
            continue
        if runs:
            names = min((differing(decided_by, run.decided_by) for run in runs), key=len)
            others.append(f"{newest}, which differs in {', '.join(names)}")
    what = " or ".join(run.label for run in runs) or "these sections, which save no state"
    raise StateError(
        f"--resume: there is nothing to resume of {what}" + (f"; unfinished: {'; '.join(others)}" if others else ""),
        "Leave --resume out to start at step 0, or give the options with which the run was started.",
    )
