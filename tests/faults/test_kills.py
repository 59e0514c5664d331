"""Runs that are killed or asked to stop: at random moments, inside a save, inside the record's write."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial

from tests.faults.launch import start
from tests.faults.planted import Call, killed_at
from tests.faults.session import Session
from tests.faults.trial import Case, Outcome, finished, struck

LARGE = 600_000  # bytes: a little more than the largest file of a state


def test_a_run_killed_at_any_moment_is_finished_bit_for_bit(session: Session) -> None:
    session.inject("SIGKILL", "at a random moment, every fifth run three times", killed, session.times(50))


def test_an_interpreter_of_its_own_killed_while_it_trains_is_finished_bit_for_bit(session: Session) -> None:
    how = "`python -m repro` in a process of its own, at a random moment after its first saved state"
    session.inject("SIGKILL, own process", how, killed_for_real, session.times(3))


def test_a_run_asked_to_stop_saves_its_state_and_is_finished_bit_for_bit(session: Session) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        session.inject(number.name, "at a random moment", partial(asked_to_stop, number), session.times(15))


def test_a_run_killed_inside_a_save_is_finished_bit_for_bit(session: Session) -> None:
    calls = [call for call in session.calls if not call.path.startswith("runs")]
    trial = partial(killed_at_a_call, calls, False)
    session.inject("SIGKILL inside a save", "before or after an fsync, rename or removal", trial, session.times(40))


def test_a_run_killed_inside_its_records_write_is_finished_bit_for_bit(session: Session) -> None:
    calls = [call for call in session.calls if call.path.startswith("runs/") and "probe" not in call.path]
    how = "before and after each of its system calls, also as a power cut"
    trial = partial(killed_at_the_record, calls)
    session.inject("SIGKILL inside the record's write", how, trial, session.times(4 * len(calls)))


def test_a_run_killed_in_the_middle_of_a_file_is_finished_bit_for_bit(session: Session) -> None:
    how = "the kernel ends it at a random byte of a file (SIGXFSZ), from a random moment on"
    session.inject("killed in the middle of a file", how, killed_within_a_file, session.times(15))


def test_after_a_power_cut_a_run_is_finished_bit_for_bit(session: Session) -> None:
    how = "at a system call; every file not yet fsynced loses its second half"
    session.inject("power cut", how, partial(killed_at_a_call, session.calls, True), session.times(30))


def killed(case: Case) -> Outcome:
    """Kill at a moment drawn evenly over the run's duration, then start again until it is finished."""
    draws = case.draws
    runs = [struck(case, draws, lambda run: run.send(signal.SIGKILL))]
    for _ in range(2 if case.number % 5 == 0 else 0):
        again = start(case.place, case.place.arguments())
        again.rest_until(draws.random() * case.reference.seconds)
        again.send(signal.SIGKILL)
        runs.append(again.wait())
    return finished(case, runs)


def killed_for_real(case: Case) -> Outcome:
    """Kill `python -m repro` a random while after its first state stands, then start it again."""
    first = start(case.place, case.place.arguments(), real=True)
    seconds = first.until(lambda: bool(case.place.states()))
    first.rest_until(seconds + case.draws.random() * 0.5 * case.reference.seconds)
    first.send(signal.SIGKILL)
    return finished(case, [first.wait()], real=True)


def asked_to_stop(number: signal.Signals, case: Case) -> Outcome:
    """Ask at a random moment, then start again; what is told is what the interrupted run said."""
    first = struck(case, case.draws, lambda run: run.send(number))
    found = finished(case, [first], told=first.told)
    wanted = (128 + number, -number)
    return found if first.code in wanted else found.but(f"exit code {first.code}, expected {wanted[0]}: {first.err}")


def killed_at_a_call(calls: Sequence[Call], power_cut: bool, case: Case) -> Outcome:
    """Kill before or after one of the calls by which files become durable, named or gone."""
    call, after = case.draws.choice(calls), case.draws.random() < 0.5
    plant = killed_at(case.place.results, call.number, after=after, power_cut=power_cut)
    first = start(case.place, case.place.arguments(), plant=plant).wait()
    found = finished(case, [first])
    return found if first.killed else found.but(f"was not hit at {call}")


def killed_at_the_record(calls: Sequence[Call], case: Case) -> Outcome:
    """Kill at one call of the record's write after the other, before it and after it, each a power cut too."""
    call, after, power_cut = calls[case.number // 4 % len(calls)], case.number % 2 == 1, case.number % 4 > 1
    plant = killed_at(case.place.results, call.number, after=after, power_cut=power_cut)
    first = start(case.place, case.place.arguments(), plant=plant).wait()
    found = finished(case, [first])
    return found if first.killed else found.but(f"was not hit at {call}")


def killed_within_a_file(case: Case) -> Outcome:
    """Let the kernel kill the run where it writes beyond a random byte, from a random moment on."""
    draws = case.draws
    plant, size = partial(signal.signal, signal.SIGXFSZ, signal.SIG_DFL), draws.randrange(LARGE)
    return finished(case, [struck(case, draws, lambda run: run.limit_files(size), plant=plant)])
