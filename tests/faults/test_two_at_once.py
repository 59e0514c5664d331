"""Two runs at once on one results folder."""

from __future__ import annotations

import pytest

from tests.faults.launch import start
from tests.faults.session import Fault, Session
from tests.faults.trial import Case, Outcome, judge


def of_one_key(case: Case) -> Outcome:
    """Start the same run twice; the second may be refused or skipped, the result is one and the same."""
    first = start(case.place, case.place.arguments())
    first.rest_until(0.0 if case.number % 4 == 0 else case.draws.random() * 1.1 * case.undisturbed.seconds)
    second = start(case.place, case.place.arguments())
    ended = sorted((first.wait(), second.wait()), key=lambda run: -run.code)  # the one that did the work comes last
    return judge(case, ended, line=ended[0].line)


def of_two_seeds(case: Case) -> Outcome:
    """Start two seeds at once, or one a while after the other."""
    runs = [start(case.place, case.place.arguments(seed=0))]
    runs[0].rest_until(0.0 if case.number % 2 == 0 else case.draws.random() * case.undisturbed.seconds)
    runs.append(start(case.place, case.place.arguments(seed=1)))
    return judge(case, [run.wait() for run in runs], seeds=(0, 1))


FAULTS = [
    Fault(
        fault="two runs of one key",
        how="the same command twice, the second up to a run's length after the first",
        trial=of_one_key,
        times=10,
    ),
    Fault(
        fault="two runs of two seeds",
        how="two commands on one results folder, seeds 0 and 1",
        trial=of_two_seeds,
        times=8,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_two_runs_at_once_leave_whole_records_of_each_seed(fault: Fault, session: Session) -> None:
    session.inject(fault)
