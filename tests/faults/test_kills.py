"""Runs that are killed or asked to stop: at random moments, inside a save, inside the record's write."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from tests.faults.launch import start
from tests.faults.planted import Call, killed_at
from tests.faults.session import Fault, Session
from tests.faults.trial import Case, Outcome, finished, struck

LARGE = 600_000  # bytes: a little more than the largest file of a state
RECORD_CALLS = 8  # of a record's write; the trials go through them, and through them again where there are fewer


def killed(case: Case) -> Outcome:
    """Kill at a moment drawn evenly over the run's duration, then start again until it is finished."""
    draws = case.draws
    runs = [struck(case, draws, lambda run: run.send(signal.SIGKILL))]
    for _ in range(2 if case.number % 5 == 0 else 0):
        again = start(case.place, case.place.arguments())
        again.rest_until(draws.random() * case.undisturbed.seconds)
        again.send(signal.SIGKILL)
        runs.append(again.wait())
    return finished(case, runs)


def killed_for_real(case: Case) -> Outcome:
    """Kill `python -m repro` a random while after it has saved its first state, then start it again."""
    first = start(case.place, case.place.arguments(), real=True)
    seconds = first.until(lambda: bool(case.place.states()))
    first.rest_until(seconds + case.draws.random() * 0.5 * case.undisturbed.seconds)
    first.send(signal.SIGKILL)
    return finished(case, [first.wait()], real=True)


def asked_to_stop(number: signal.Signals, case: Case) -> Outcome:
    """Ask at a random moment, then start again; the line is what the interrupted run said."""
    first = struck(case, case.draws, lambda run: run.send(number))
    outcome, expected = finished(case, [first], line=first.line), (128 + number, -number)
    return outcome.unless(first.code in expected, f"exit code {first.code}, expected {expected[0]}: {first.err}")


def killed_at_a_call(power_cut: bool, case: Case) -> Outcome:
    """Kill before or after one of the calls by which files become durable, named or gone."""
    calls = [call for call in case.undisturbed.calls if power_cut or not call.path.startswith("runs")]
    return _killed_at(case, case.draws.choice(calls), case.draws.random() < 0.5, power_cut)


def killed_at_the_record(case: Case) -> Outcome:
    """Kill at one call of the record's write after the other, before it and after it, each a power cut too."""
    calls = [c for c in case.undisturbed.calls if c.path.startswith("runs/") and "probe" not in c.path]
    return _killed_at(case, calls[case.number // 4 % len(calls)], case.number % 2 == 1, case.number % 4 > 1)


def _killed_at(case: Case, call: Call, after: bool, power_cut: bool) -> Outcome:
    first = case.run(killed_at(case.place.results, call.number, after=after, power_cut=power_cut))
    return finished(case, [first]).unless(first.killed, f"was not hit at {call}")


def killed_within_a_file(case: Case) -> Outcome:
    """Let the kernel kill the run where it writes beyond a random byte, from a random moment on."""
    draws = case.draws
    plant, size = partial(signal.signal, signal.SIGXFSZ, signal.SIG_DFL), draws.randrange(LARGE)
    return finished(case, [struck(case, draws, lambda run: run.limit_files(size), plant=plant)])


FAULTS = [
    Fault(fault=fault, how=how, trial=trial, times=times)
    for fault, how, trial, times in (
        ("SIGKILL", "at a random moment, every fifth run three times", killed, 50),
        (
            "SIGKILL, own process",
            "`python -m repro` in a process of its own, at a random moment after its first saved state",
            killed_for_real,
            3,
        ),
        ("SIGTERM", "at a random moment", partial(asked_to_stop, signal.SIGTERM), 15),
        ("SIGINT", "at a random moment", partial(asked_to_stop, signal.SIGINT), 15),
        ("SIGKILL inside a save", "before or after an fsync, rename or removal", partial(killed_at_a_call, False), 40),
        (
            "SIGKILL inside the record's write",
            "before and after each of its system calls, also as a power cut",
            killed_at_the_record,
            4 * RECORD_CALLS,
        ),
        (
            "killed in the middle of a file",
            "the kernel ends it at a random byte of a file (SIGXFSZ), from a random moment on",
            killed_within_a_file,
            15,
        ),
        (
            "power cut",
            "at a system call; every file not yet fsynced loses its second half",
            partial(killed_at_a_call, True),
            30,
        ),
    )
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_killed_run_is_finished_bit_for_bit(fault: Fault, session: Session) -> None:
    session.inject(fault)
