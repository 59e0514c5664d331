"""Training that fails: losses that are no number, and memory that does not suffice."""

from __future__ import annotations

import signal
from dataclasses import replace
from functools import partial

from repro.errors import MemoryShortError, TrainingDivergedError
from repro.records.record import RunRecord
from tests.faults.launch import Ended, Place, start
from tests.faults.planted import no_memory, no_number_at
from tests.faults.session import Session
from tests.faults.trial import Case, Outcome, Reference, finished, models_in, records_in, result_of, struck

CLOSE = 1e-2  # nats: parts of a batch add up in another order, and draw their dropout in another one
HALF_A_BATCH = 32


def test_a_loss_that_is_no_number_is_told_recorded_nowhere_and_kept_in_no_state(session: Session) -> None:
    trial = partial(with_a_loss_that_is_no_number, session.steps)
    session.inject("loss not a number", "planted at a random step; then without it", trial, session.times(10))


def test_memory_that_runs_short_halves_the_parts_and_stands_in_the_record(session: Session) -> None:
    how = f"planted: no more than {HALF_A_BATCH} rows at once from a random step on"
    session.inject("out of memory", how, with_half_the_memory, session.times(8))


def test_a_run_killed_after_memory_ran_short_is_finished_bit_for_bit(session: Session) -> None:
    place = Place(folder=session.folder / "half-the-memory")
    whole: Reference = session.pool.apply(undisturbed_with_half_the_memory, (place, session.reference))
    how = f"no more than {HALF_A_BATCH} rows at once, and SIGKILL at a random moment"
    session.inject("out of memory, then killed", how, partial(killed_with_half_the_memory, whole), session.times(8))


def test_memory_that_does_not_suffice_for_one_row_is_told_and_the_run_can_be_finished(session: Session) -> None:
    how = "planted: not one row from a random step on; then without it"
    session.inject("no memory at all", how, partial(without_memory, session.steps), session.times(8))


def with_a_loss_that_is_no_number(steps: int, case: Case) -> Outcome:
    """Spoil one loss, look that the run is refused and leaves no record, then start it again without the fault."""
    plant = no_number_at(case.draws.randint(1, steps))
    first = start(case.place, case.place.arguments(), plant=plant).wait()
    return refused_then_finished(case, first, TrainingDivergedError.exit_code)


def without_memory(steps: int, case: Case) -> Outcome:
    """Take all memory away, look that this is told and leaves no record, then start it again without the fault."""
    plant = no_memory(above=0, from_step=case.draws.randint(1, steps))
    first = start(case.place, case.place.arguments(), plant=plant).wait()
    return refused_then_finished(case, first, MemoryShortError.exit_code)


def refused_then_finished(case: Case, first: Ended, code: int) -> Outcome:
    """Start the run again and judge all of it; the first must have ended with this code, and left no record."""
    left = records_in(case.place)
    found = finished(case, [first], told=first.told)
    return found if first.code == code and not left else found.passed(first)


def with_half_the_memory(case: Case) -> Outcome:
    """Take memory away at a random step: the run must end by itself, say so, and lose next to nothing by it."""
    epochs = [epoch["steps"] for epoch in case.reference.results[0]["epochs"]]
    step = case.draws.choice([i for i in range(1, sum(epochs)) if i % epochs[0]])  # an epoch's last batch is small
    ended = start(case.place, case.place.arguments(), plant=no_memory(above=HALF_A_BATCH, from_step=step)).wait()
    outcome = Outcome(told=case.place.shown(ended.told))
    records = list(records_in(case.place).values())
    if ended.code != 0 or len(records) != 1 or records[0] is None:
        return outcome.but(f"exit code {ended.code}, {len(records)} records: {ended.err}")
    told = records[0].facts.get("out_of_memory") == [{"step": step, "micro_batches": 2}]
    return outcome if told and _is_close(records[0], case) else outcome.passed(ended)


def undisturbed_with_half_the_memory(place: Place, reference: Reference) -> Reference:
    """Make a run that is short of memory all along, for others to be held against."""
    ended = start(place, place.arguments(), plant=no_memory(above=HALF_A_BATCH)).wait()
    assert ended.code == 0, ended.err
    (record,) = records_in(place).values()
    assert record is not None
    return replace(reference, results={0: result_of(record)}, weights=models_in(place))


def killed_with_half_the_memory(whole: Reference, case: Case) -> Outcome:
    """Kill a run that is short of memory all along; started again it must be the one that was not killed."""
    plant, case = no_memory(above=HALF_A_BATCH), replace(case, reference=whole)
    first = struck(case, case.draws, lambda run: run.send(signal.SIGKILL), plant=plant)
    return finished(case, [first], plant=plant)


def _is_close(record: RunRecord, case: Case) -> bool:
    found, wanted = result_of(record)["epochs"], case.reference.results[0]["epochs"]
    return all(abs(a["train_loss"] - b["train_loss"]) < CLOSE for a, b in zip(found, wanted, strict=True))
