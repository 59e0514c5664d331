"""A run that stops before each of its calls on files, and goes on when another process says so.

So an order of events is drawn and not met by chance, and the same seed gives the same order again.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from repro.records import provenance
from repro.records.schema import RunRecord
from repro.sections import runner
from repro.training.resume import state as states
from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy
from tests.faults.launch import LIMIT_SECONDS, Ended, Place, Plant

FOLDERS = ("results", "elsewhere", "models")  # of a Place: it is stopped at calls on them and on what lists them
LOG = "notes.jsonl"
FOLDER_AT = {"open": None, "os.mkdir": 2, "os.remove": 1, "os.rename": 2, "os.rmdir": 1}  # audit events: of dir_fd
START = 1_790_000_000.0  # seconds since 1970
PR_SET_PDEATHSIG = 1


class Note(NamedTuple):
    """A call that comes next, or what was done: synced, saved, resumed, recorded, completed (`path`: the run's folder).

    `number` is an inode, or the step of a state.
    """

    what: str
    path: str
    number: int = 0


def stopping(place: Place, *, steps: Mapping[int, float] = {}, stops: bool = True, bug: Plant | None = None) -> Plant:
    """Stop at each call, where the time of day may step by so many seconds, and note what is done in the file LOG."""

    def plant() -> None:
        if bug is not None:
            bug()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # else it stays, stopped, where the parent is killed
        signal.alarm(10 * LIMIT_SECONDS)  # it is stopped for most of them
        log = os.open(place.folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        main, calls, fsync = threading.current_thread(), list[None](), os.fsync

        def note(what: str, path: Path, number: int = 0) -> None:
            os.write(log, (json.dumps(Note(what, str(path.relative_to(place.folder)), number)) + "\n").encode())

        def stop(what: str, path: Path, number: int = 0) -> None:
            if path == place.folder or any(path.is_relative_to(place.folder / name) for name in FOLDERS):
                calls.append(None)
                note(what, path, number)
                os.kill(os.getpid(), signal.SIGSTOP)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in FOLDER_AT and isinstance(arguments[0], str | Path) and threading.current_thread() is main:
                what, at = event.removeprefix("os."), FOLDER_AT[event]
                if at is None:
                    what = "write" if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else "read"
                folder = Path.cwd() if at is None or arguments[at] == -1 else _path_of(arguments[at])
                stop(what, folder / arguments[0])

        def syncing(descriptor: int) -> None:
            path, inode = _path_of(descriptor), os.fstat(descriptor).st_ino
            stop("fsync", path)
            fsync(descriptor)
            stop("synced", path, inode)

        _set_clocks(steps, calls)
        _note_progress(note)
        if stops:
            vars(os)["fsync"] = syncing
            sys.addaudithook(hook)
            os.kill(os.getpid(), signal.SIGSTOP)

    return plant


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _set_clocks(steps: Mapping[int, float], calls: list[None]) -> None:
    """Let all clocks go on by a millisecond a look, and the time of day step by so many seconds at calls."""
    seconds = 0.0

    def steady(more: float = 0.001) -> float:
        nonlocal seconds
        seconds += more
        return seconds

    def wall() -> float:
        return START + steady() + sum(step for call, step in steps.items() if call <= len(calls))

    class Stepping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.fromtimestamp(wall(), tz)

    vars(time).update(time=wall, perf_counter=steady, monotonic=steady, sleep=steady)
    vars(provenance)["datetime"] = Stepping


def _note_progress(note: Callable[..., None]) -> None:
    write_state, read, keep_record = states.write_state, Checkpointer._read, vars(runner)["keep_record"]
    completed = runner.Run.completed

    def saving(folder: Path, *arguments: Any, step: int, **named: Any) -> Path:
        path = write_state(folder, *arguments, step=step, **named)
        note("saved", folder, step)
        return path

    def reading(self: Checkpointer) -> None:
        times = len(self.resumed_after)
        read(self)
        note("resumed", self.folder, self.resumed_after[-1] if len(self.resumed_after) > times else 0)

    def recording(record: RunRecord, results: Path) -> Path:
        path: Path = keep_record(record, results)
        note("recorded", path)
        note("completed", results / runner.UNFINISHED / str(record.run_key))
        return path

    def skipping(self: runner.Run, results: Path, policy: CheckpointPolicy) -> bool:
        if answer := completed(self, results, policy):  # also where the process that recorded it was killed right then
            note("completed", results / runner.UNFINISHED / self.key)
        return answer

    vars(states)["write_state"], vars(runner)["keep_record"] = saving, recording
    patch.object(Checkpointer, "_read", reading).start()
    patch.object(runner.Run, "completed", skipping).start()


class Stepped:
    """A run on its way from call to call: stopped, until `ended` says how it ended."""

    def __init__(self, place: Place, words: tuple[str, ...], plant: Plant) -> None:
        self.run, self.calls = place.start(*words, plant=plant), -1
        self.ended: Ended | None = None
        self._wait()

    def go(self, number: signal.Signals = signal.SIGCONT) -> None:
        """Let it go on to its next call, or kill it."""
        self.run.send(number)
        self._wait()

    def _wait(self) -> None:
        _, status = os.waitpid(self.run.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            self.calls += 1
        else:
            self.ended = self.run.ended(status)


def notes_of(place: Place) -> list[Note]:
    """Return what the runs in this place have noted so far, in order."""
    log = place.folder / LOG
    return [Note(*json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
