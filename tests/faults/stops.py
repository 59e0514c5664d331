"""Runs that are killed, asked to stop, started twice or that fail: at random moments, calls and steps."""

from __future__ import annotations

import signal
import time
from functools import partial

from tests.faults.planted import failing_from
from tests.faults.trial import Case, Outcome, finished, records_in, struck

LARGE = 600_000  # bytes: a little more than the largest file of a state


def killed(case: Case) -> Outcome:
    draws = case.draws
    runs = [struck(case, lambda run: run.send(signal.SIGKILL))]
    for _ in range(2 if case.number % 5 == 0 else 0):
        again = case.place.start()
        again.rest_until(draws.random() * case.undisturbed.seconds)
        again.send(signal.SIGKILL)
        runs.append(again.wait())
    return finished(case, *runs)


def killed_for_real(case: Case) -> Outcome:
    first = case.place.start(real=True)
    while not case.place.states() and time.perf_counter() < first.start + 100:
        time.sleep(0.005)
    time.sleep(case.draws.random() * 0.5 * case.undisturbed.seconds)
    first.send(signal.SIGKILL)
    return finished(case, first.wait(), real=True)


def asked_to_stop(case: Case, *, name: str) -> Outcome:
    number = signal.Signals[name]
    first = struck(case, lambda run: run.send(number))
    outcome, expected = finished(case, first, line=first.line), (128 + number, -number)
    return outcome.unless(first.code in expected, f"exit code {first.code}, expected {expected[0]}: {first.err}")


def killed_within_a_file(case: Case) -> Outcome:
    plant, size = partial(signal.signal, signal.SIGXFSZ, signal.SIG_DFL), case.draws.randrange(LARGE)
    return finished(case, struck(case, lambda run: run.limit_files(size), plant=plant))


def failing(case: Case, *, code: int, memory: bool = False) -> Outcome:
    first = case.place.run(plant=failing_from(case.draws.randint(1, case.undisturbed.steps), memory=memory))
    records = records_in(case.place)
    return finished(case, first, line=first.line).refused(first, first.code == code and not records)
