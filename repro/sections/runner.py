"""From a spec to records: a context is opened, each section is run once for each seed, and its record is written.

A completed run is recognised by its key and skipped; an unfinished training resumes from its newest saved state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.assets.corpus import load_corpus
from repro.assets.notebook import tour_texts
from repro.assets.recipes import recipe_named
from repro.errors import CheckpointError, MissingAssetError, ReproError, ResultsError, StateError
from repro.records.provenance import code_state, collect_provenance, driver_version, peak_mib, utc_now
from repro.records.schema import RunRecord
from repro.records.store import find_finished, inside, keep_record
from repro.sections.context import Context, Section
from repro.sections.models import model_folder
from repro.spec import Device, Precision, RunSpec, run_key

if TYPE_CHECKING:
    from pydantic import JsonValue

    from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy

UNFINISHED = "unfinished"  # beside `runs` in the results folder
Recorded = tuple[RunRecord, Path]


def open_context(
    spec: RunSpec,
    *,
    corpus: str | None = None,
    checkpoints: Path | None = None,
    seminar: Path | None = None,
    seeds: Sequence[int] | None = None,
) -> Context:
    """Check every value, cheapest first, resolve `auto`, then load the corpus.

    `corpus` is where to read it (`hub`, `rehearsal` or a folder) if not where the spec says.
    """
    recipe = recipe_named(spec.recipe)
    if spec.epochs is not None:
        recipe = replace(recipe, epochs=spec.epochs)
    if seminar is not None:
        tour_texts(seminar, rehearsal=False)  # what it lacks is said before anything runs
    from repro.training.device import check_processes, process_count, resolve_device, wait_time
    from repro.training.loop import check_micro_batches

    check_processes(recipe.batch_size, process_count())
    wait_time()
    check_micro_batches(spec.micro_batches, recipe.batch_size)
    chosen = resolve_device(Device(spec.device), Precision(spec.precision))
    loaded = load_corpus(corpus or {"emotion": "hub"}.get(spec.corpus, spec.corpus), limit=spec.limit)
    spec = replace(spec, corpus=loaded.stamp.name, device=chosen.device, precision=chosen.precision)
    return Context(
        spec=spec.setup,
        recipe=recipe,
        corpus=loaded,
        checkpoints=checkpoints,
        seminar=seminar,
        precision_reason=chosen.reason,
        declared_seeds=None if seeds is None else tuple(seeds),
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
            if not section.pretrained:
                context = replace(context, pretrained=False)
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

    @property
    def key(self) -> str:
        """The run key."""
        return run_key(self.decided_by)

    def measure(self, *checkpointer: Checkpointer) -> RunRecord:
        """Run the section, with its checkpointer if it is resumable, and return the record, not yet written."""
        import torch

        started, context = utc_now(), self.context
        code_state()  # of the code that runs: it is read once a process
        key, source = self.key, str(self.decided_by["source"])
        on_gpu = context.spec.device is Device.CUDA
        context.seconds.clear()
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        measured = self.section.run(context, self.seed, *checkpointer)
        return RunRecord(
            **dict(measured),
            seconds={**context.seconds},
            experiment=self.section.name,
            recipe=context.recipe_stamp,
            corpus=context.corpus.stamp,
            settings=context.settings(self.seed),
            run_key=key,
            source_sha256=source,
            declared_seeds=None if context.declared_seeds is None else self.section.seeds(context.declared_seeds),
            precision_reason=context.precision_reason,
            peak_mib=peak_mib(),
            gpu_peak_mib=torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
            provenance=collect_provenance(
                started=started, threads=torch.get_num_threads(), **(_gpu_facts() if on_gpu else {})
            ),
        )

    def completed(self, results: Path, policy: CheckpointPolicy) -> bool:
        """Tell whether it has a record, and say so; processes that share it all answer what the main one sees."""
        from accelerate.utils import broadcast_object_list

        context, answer = self.context, [False]
        if context.accelerator.is_main_process and not policy.again:
            folder = Path(context.corpus.stamp.name, context.recipe.name, self.section.name)
            if path := find_finished(results, folder, self.key):
                policy.tell_done(f"{self.label}: already completed, skipped (--again runs it again): {path}")
                answer = [True]
        if self.section.together and context.accelerator.num_processes > 1:
            broadcast_object_list(answer)
        return answer[0]


def run_sections(
    sections: Sequence[Section],
    context: Context,
    seeds: Sequence[int],
    results: Path,
    *,
    policy: CheckpointPolicy | None = None,
    on_missing: Callable[[Section, ReproError], None] | None = None,
) -> Iterator[Recorded]:
    """Run every section for every seed that matters to it; the main process yields each record once it is written.

    A section whose asset is missing or refused goes to `on_missing` and the others still run; without it the error
    ends the run. ProcessLostError where one of several processes is gone.
    """
    from accelerate import PartialState

    from repro.training.device import process_count, watched
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

    StateError where another process is making the same run.
    """
    from repro.training.resume.checkpointer import Checkpointer

    main = context.accelerator.is_main_process
    if not (section.together or main):
        return None
    run = Run.prepare(section, context, seed)
    unfinished = inside(results, results / UNFINISHED / run.key).parent
    checkpointer = Checkpointer(unfinished, run.label, run.decided_by, context.accelerator, policy)
    if not section.resumable:
        if run.completed(results, policy):
            return None
        record = run.measure()
        with ExitStack() as locked:
            with suppress(ResultsError):  # a disk that refuses a lock: `keep_record` says where the record is
                locked.enter_context(checkpointer.locked())
            if run.completed(results, policy) or not main:  # another process may have completed it meanwhile
                return None
            return record, keep_record(record, results)
    with checkpointer.locked():
        if run.completed(results, policy):
            if main:
                _report_leftovers(run, checkpointer)
            return None
        with checkpointer.interruptible():
            record = run.measure(checkpointer)
            path = keep_record(record, results) if main else None
            # where the model that was asked for could not be saved, the last state holds its weights
            if not (context.save and "not_saved" in record.facts):
                checkpointer.discard()
        return (record, path) if path else None


def _gpu_facts() -> dict[str, Any]:
    """Return what of the GPU in use decides seconds and last digits: its name, its driver, CUDA, cuDNN and TF32."""
    import torch

    return {
        "accelerator": torch.cuda.get_device_name(),
        "driver": driver_version(),
        "gpu": {
            "CUDA": str(torch.version.cuda),
            "cuDNN": str(torch.backends.cudnn.version()),
            "TF32 in fp32 products": "yes" if torch.backends.cuda.matmul.allow_tf32 else "no",
        },
    }


def _report_leftovers(run: Run, checkpointer: Checkpointer) -> None:
    """Say what else there is of a completed run; a last state that nobody needs is removed.

    States stay where `--again` was interrupted, and the last one where the model that it holds could not be saved.
    """
    from repro.training.resume.state import read_state, states_in

    save, tell, step = run.context.save, checkpointer.policy.tell, checkpointer.saved_step
    model_missing = bool(save) and not model_folder(run.context, run.seed).is_dir()
    try:
        steps = read_state(states_in(checkpointer.folder)[0]).steps if step else 0
    except StateError as error:  # what it holds may be needed
        tell(error.what)
        return
    if step and (model_missing or step < steps):
        tell(f"there is a state of it after step {step} of {steps}: --again resumes from it")
    else:
        checkpointer.discard()
    if model_missing:
        how = "saves" if step else "trains it once more and saves"
        tell(f"its model is not in {save}: --again {how} it there")
