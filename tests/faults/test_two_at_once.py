"""Two runs at once on one results folder."""

from __future__ import annotations

from tests.faults.launch import Ended, start
from tests.faults.session import Session
from tests.faults.trial import Case, Outcome, judge


def test_of_two_runs_of_one_key_one_works_and_one_is_told(session: Session) -> None:
    how = "the same command twice, the second up to a run's length after the first"
    session.inject("two runs of one key", how, of_one_key, session.times(10))


def test_two_runs_of_two_seeds_leave_two_whole_records(session: Session) -> None:
    how = "two commands on one results folder, seeds 0 and 1"
    session.inject("two runs of two seeds", how, of_two_seeds, session.times(8))


def of_one_key(case: Case) -> Outcome:
    """Start the same run twice; the second may be refused or told that it is done, the result is one and the same."""
    first = start(case.place, case.place.arguments())
    late = 0.0 if case.number % 4 == 0 else case.draws.random() * 1.1 * case.reference.seconds
    first.rest_until(late)
    second = start(case.place, case.place.arguments())
    ended = [first.wait(), second.wait()]
    ended.sort(key=lambda found: -found.code)  # the one that did the work comes last
    done: Ended = ended[0]
    return judge(case.place, case.reference, ended, told=done.told)


def of_two_seeds(case: Case) -> Outcome:
    """Start two seeds at once, or one a while after the other."""
    runs = [start(case.place, case.place.arguments(seed=0))]
    runs[0].rest_until(0.0 if case.number % 2 == 0 else case.draws.random() * case.reference.seconds)
    runs.append(start(case.place, case.place.arguments(seed=1)))
    return judge(case.place, case.reference, [run.wait() for run in runs], seeds=(0, 1))
