"""Variants that take turns, so that a drift of the machine hits all alike: one process each, one at work at a time.

A variant gets a `Turn` and calls `turn.done()` at the end of every round, in a loop that may be anybody's (the
Trainer's callback, ours, a plain `while`). It is timed by itself, from the word to go until `done`; what it says of
the round goes back with the seconds. Two first rounds warm up and are dropped. Where a round is one step of a loop,
`settle` takes steps before it that are not timed: the first one after another process's turn is up to a third slower
than those that follow, as a loop that nobody interrupts never is.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

WARM_UP = 2
Work = Callable[..., None]  # called as work(turn, **options); takes rounds until `turn.done` ends the process


@dataclass(frozen=True, kw_only=True)
class Round:
    """Seconds of one round, what the variant says of it, and the most memory of its process so far, in MiB."""

    seconds: float
    facts: dict[str, float]
    peak_mib: float


class Turn:
    """The variant's side: `begin` waits for the first word to go, `done` reports a round and waits for the next."""

    def __init__(self, connection: Connection, settle: int = 0) -> None:
        self._connection = connection
        self._settle = self._unsettled = settle
        self._begun = 0.0

    def begin(self) -> None:
        """Wait for the word to go; ends the process where none will come."""
        try:
            go = self._connection.recv()
        except EOFError:
            go = False
        if not go:
            os._exit(0)  # in the middle of somebody else's loop
        self._unsettled = self._settle
        self._begun = time.perf_counter()

    def prepared(self) -> None:
        """Let the first round begin here; what came before was preparation, and no round warms up."""
        self._begun = time.perf_counter()

    def done(self, **facts: float) -> None:
        """Report the round that ends here, then wait for the next; a step to settle is dropped and goes straight on."""
        if self._unsettled:
            self._unsettled -= 1
            self._begun = time.perf_counter()
            return
        seconds = time.perf_counter() - self._begun
        self._connection.send(Round(seconds=seconds, facts=facts, peak_mib=_peak_mib()))
        self.begin()


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What takes turns: a function of a module, its options, and how often it settles."""

    work: Work
    options: Mapping[str, Any] = field(default_factory=dict)
    settle: int = 0  # rounds of the loop before each timed one


def take_turns(variants: Mapping[str, Variant], rounds: int, *, warm_up: int = WARM_UP) -> dict[str, list[Round]]:
    """Run every variant `warm_up` + `rounds` times, round by round in turn, and return the rounds after warming up.

    RuntimeError names a variant whose process ended early, with its exit code.
    """
    spawn = multiprocessing.get_context("spawn")
    links: dict[str, Connection] = {}
    processes: dict[str, Any] = {}
    try:
        for name, variant in variants.items():
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_run, args=(theirs, variant), name=name)
            process.start()
            theirs.close()
            links[name] = ours
            processes[name] = process
        found: dict[str, list[Round]] = {name: [] for name in variants}
        for _ in range(warm_up + rounds):
            for name, link in links.items():
                found[name].append(_one_round(link, processes[name]))
    finally:
        for link in links.values():
            link.close()
        for process in processes.values():
            process.join(timeout=10)
            process.kill()
    return {name: all_rounds[warm_up:] for name, all_rounds in found.items()}


def _one_round(link: Connection, process: Any) -> Round:
    try:
        link.send(True)
        result: Round = link.recv()
    except (EOFError, OSError):
        process.join(timeout=10)
        why = "killed, as a system short of memory does" if process.exitcode == -signal.SIGKILL else "see above"
        raise RuntimeError(f"{process.name} ended early with exit code {process.exitcode} ({why})") from None
    return result


def _run(connection: Connection, variant: Variant) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends the parent, which closes the pipe
    turn = Turn(connection, variant.settle)
    turn.begin()  # what is prepared belongs to the first round, which warms up
    variant.work(turn, **variant.options)


def _peak_mib() -> float:
    from repro.records.provenance import peak_mib

    return peak_mib()


def forget_peak() -> None:
    """Let the peak of this process's memory be counted anew from here, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
