"""A run is made once: a finished one is known by its key, an unfinished one is gone on with."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from repro.errors import CheckpointError, MissingAssetError, ResultsError, StateError
from repro.records.record import RunRecord, inside, write_record
from repro.records.run_key import differing, find_finished, run_key
from repro.sections.models import model_folder
from repro.training.resume.state import read_manifest, states_in

if TYPE_CHECKING:
    from accelerate import Accelerator

    from repro.sections.context import Context
    from repro.sections.registry import Experiment
    from repro.training.resume.keeper import Keeper, Keeping

UNFINISHED = "unfinished"  # beside `runs` in the results folder


def run_once(
    experiment: Experiment, context: Context, seed: int, results: Path, keeping: Keeping
) -> tuple[RunRecord, Path] | None:
    """Make a run and write its record; None where a record of it stands, and for all processes but the main one.

    Its states are removed when its record stands, and the model that was to be kept. StateError where another process
    is making the same run.
    """
    from repro.training.resume.keeper import Keeper

    accelerator = context.accelerator
    if not (experiment.together or accelerator.is_main_process):
        return None
    prepared = _prepared(experiment, context)
    decided_by = prepared.decided_by(experiment.name, seed)
    if not experiment.kept:
        if _done_already(experiment, prepared, seed, results, keeping):
            return None
        record = experiment.measure(context, seed)
        return (record, _write(record, results)) if accelerator.is_main_process else None
    unfinished = inside(results, results / UNFINISHED)
    inside(results, unfinished / run_key(decided_by))
    keeper = Keeper(unfinished, f"{experiment.name}, seed {seed}", decided_by, accelerator, keeping)
    with keeper.held():
        if _done_already(experiment, prepared, seed, results, keeping):
            lacks_model = bool(context.save) and not model_folder(context, seed).is_dir()
            if accelerator.is_main_process:
                _tell_left(keeper, context, lacks_model=lacks_model)
            return None
        with keeper.at_work():
            record = experiment.measure(context, seed, keeper)
        if not accelerator.is_main_process:
            return None
        path = _write(record, results)
        # where the model that was asked for could not be saved, the last state holds its weights
        if not (context.save and "not_saved" in record.facts):
            keeper.discard()
        return record, path


def _tell_left(keeper: Keeper, context: Context, *, lacks_model: bool) -> None:
    """Say what else there is of a run whose record stands; a last state that nobody needs is removed.

    States stay where `--again` was interrupted, and the last one where the model that it holds could not be saved.
    """
    step, steps = keeper.newest_step()
    if step and (lacks_model or step < steps):
        keeper.keeping.tell(f"a state of it after step {step} of {steps} stands: --again goes on from there")
    else:
        keeper.discard()
    if lacks_model:
        how = "keeps" if step else "trains it once more and keeps"
        keeper.keeping.tell(f"its model is not in {context.save}: --again {how} it there")


def check_resumable(experiments: list[Experiment], context: Context, seeds: list[int], results: Path) -> None:
    """Raise StateError unless one of the runs was begun and can be gone on with, and say what was begun instead."""
    wanted = [(e, seed, context.decided_by(e.name, seed)) for e in experiments if e.kept for seed in e.seeds(seeds)]
    unfinished = results / UNFINISHED
    if any(states_in(unfinished / run_key(decided_by)) for _, _, decided_by in wanted):
        return
    others = []
    for newest in (states[0] for folder in sorted(unfinished.glob("*")) if (states := states_in(folder))):
        try:
            manifest = read_manifest(newest)
        except StateError as error:
            others.append(error.what)
            continue
        if wanted:
            names = min((differing(manifest.decided_by, decided_by) for _, _, decided_by in wanted), key=len)
            others.append(f"{newest}, which differs in {', '.join(names)}")
    what = " or ".join(f"{e.name}, seed {seed}" for e, seed, _ in wanted) or "these experiments, which keep no state"
    raise StateError(
        f"--resume: there is nothing to go on with of {what}"
        + (f"; unfinished: {'; '.join(others)}" if others else ""),
        "Leave --resume out to start at step 0, or give the options with which the run was begun.",
    )


def _prepared(experiment: Experiment, context: Context) -> Context:
    """Prepare the experiment; of several processes that share it all raise MissingAssetError for what one lacks."""
    if context.accelerator.num_processes == 1 or not experiment.together:
        return experiment.prepared(context)
    from accelerate.utils import gather_object

    prepared, lacking = context, []
    try:
        prepared = experiment.prepared(context)
    except (MissingAssetError, CheckpointError) as error:
        lacking.append((error.what, error.remedy))
    if everywhere := gather_object(lacking):
        raise MissingAssetError(*everywhere[0])
    return prepared


def _write(record: RunRecord, results: Path) -> Path:
    """Write the record; where the results folder does not take it, keep it where temporary files go and say so."""
    try:
        return write_record(record, results)
    except ResultsError as error:
        try:
            aside = write_record(record, Path(mkdtemp(prefix="seminar-repro-record-")))
        except (ResultsError, OSError):
            raise error from None
        raise ResultsError(
            f"{error.what}; it is kept as {aside}",
            f"Free space, then move it to {results / 'runs' / record.folder}, or start the same command again.",
        ) from None


def _done_already(experiment: Experiment, context: Context, seed: int, results: Path, keeping: Keeping) -> bool:
    folder = results / "runs" / context.corpus.stamp.name / context.recipe.name / experiment.name
    key = run_key(context.decided_by(experiment.name, seed))
    main = context.accelerator.is_main_process
    found = find_finished(folder, key) if main and not keeping.again else None
    if found is not None:
        keeping.tell_done(f"{experiment.name}, seed {seed}: done already, not run again without --again: {found[1]}")
    return _agreed(found is not None, context.accelerator) if experiment.together else found is not None


def _agreed(found: bool, accelerator: Accelerator) -> bool:
    """Return what the main process has found."""
    if accelerator.num_processes == 1:
        return found
    from accelerate.utils import broadcast_object_list

    answer = [found]
    broadcast_object_list(answer)
    return answer[0]
