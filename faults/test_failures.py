"""Training that fails: losses that are no number, and memory that does not suffice."""

from __future__ import annotations

from functools import partial

from faults.launch import start
from faults.planted import no_number_at
from faults.session import Session
from faults.trial import Case, Outcome, finished, records_in

DIVERGED = 3


def test_a_loss_that_is_no_number_is_told_recorded_nowhere_and_kept_in_no_state(session: Session) -> None:
    trial = partial(with_a_loss_that_is_no_number, session.steps)
    session.inject("loss not a number", "planted at a random step; then without it", trial, session.times(12))


def with_a_loss_that_is_no_number(steps: int, case: Case) -> Outcome:
    """Spoil one loss, look that the run is refused and leaves no record, then start it again without the fault."""
    plant = no_number_at(case.draws.randint(1, steps))
    first = start(case.place, case.place.arguments(), plant=plant).wait()
    left = records_in(case.place)
    found = finished(case, [first], told=first.told)
    return found if first.code == DIVERGED and not left else found.passed(first)
