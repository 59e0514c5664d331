"""Training that fails: losses that are not finite, and memory that runs out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from repro.errors import OutOfMemoryError, TrainingDivergedError
from tests.faults.launch import Plant
from tests.faults.planted import nan_loss_at, no_memory_from
from tests.faults.session import Fault, Session
from tests.faults.trial import Case, Outcome, finished, records_in


def failing(plant: Callable[[int], Plant], code: int, case: Case) -> Outcome:
    """Let a random step fail: refused, without a record; then start the run again without the fault."""
    first = case.run(plant(case.draws.randint(1, case.undisturbed.steps)))
    records = records_in(case.place)
    return finished(case, [first], line=first.line).refused(first, first.code == code and not records)


FAULTS = [
    Fault(
        fault="loss not a number",
        how="planted: NaN at a random step; then without it",
        trial=partial(failing, nan_loss_at, TrainingDivergedError.exit_code),
        times=10,
    ),
    Fault(
        fault="out of memory",
        how="planted: no memory from a random step on; then without it",
        trial=partial(failing, no_memory_from, OutOfMemoryError.exit_code),
        times=8,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_failing_step_is_recorded_nowhere_and_the_run_can_be_finished(fault: Fault, session: Session) -> None:
    session.inject(fault)
