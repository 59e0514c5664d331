"""Runs that are killed, asked to stop, started twice or that fail: at random moments, calls and steps."""

from __future__ import annotations

import signal
import time
from functools import partial

from tests.faults.planted import Call, failing_from, killed_at
from tests.faults.trial import Case, Outcome, finished, judge, records_in, struck

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


def killed_at_a_call(case: Case, *, power_cut: bool = False) -> Outcome:
    calls = [call for call in case.undisturbed.calls if power_cut or not call.path.startswith("runs")]
    return _killed_at(case, case.draws.choice(calls), case.draws.random() < 0.5, power_cut)


def killed_at_the_record(case: Case) -> Outcome:
    calls = [call for call in case.undisturbed.calls if call.writes_record]
    return _killed_at(case, calls[case.number // 4 % len(calls)], case.number % 2 == 1, case.number % 4 > 1)


def _killed_at(case: Case, call: Call, after: bool, power_cut: bool) -> Outcome:
    first = case.place.run(plant=killed_at(case.place.results, call.number, after=after, power_cut=power_cut))
    return finished(case, first).unless(first.code < 0, f"was not hit at {call}")


def killed_within_a_file(case: Case) -> Outcome:
    plant, size = partial(signal.signal, signal.SIGXFSZ, signal.SIG_DFL), case.draws.randrange(LARGE)
    return finished(case, struck(case, lambda run: run.limit_files(size), plant=plant))


def failing(case: Case, *, code: int, memory: bool = False) -> Outcome:
    first = case.place.run(plant=failing_from(case.draws.randint(1, case.undisturbed.steps), memory=memory))
    records = records_in(case.place)
    return finished(case, first, line=first.line).refused(first, first.code == code and not records)


def two_of_one_key(case: Case) -> Outcome:
    first = case.place.start()
    first.rest_until(0.0 if case.number % 4 == 0 else case.draws.random() * 1.1 * case.undisturbed.seconds)
    second = case.place.start()
    ended = sorted((first.wait(), second.wait()), key=lambda run: -run.code)  # the one that did the work comes last
    return judge(case, ended, line=ended[0].line)


def two_seeds(case: Case) -> Outcome:
    first = case.place.start(seed=0)
    first.rest_until(0.0 if case.number % 2 == 0 else case.draws.random() * case.undisturbed.seconds)
    second = case.place.start(seed=1)
    return judge(case, [first.wait(), second.wait()], seeds=(0, 1))
