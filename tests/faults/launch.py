"""A run of the suite as a child of a process that has imported everything: it starts in no time, and it can be hit."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 120  # a child that hangs is ended, and its trial fails
NOBODY = 65534
Plant = Callable[[], object]  # called in the child, before the suite
KEY = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")
# the run that all faults are put into: 20 steps, a state after every third and after each epoch
RUN = ("run", "finetune", "--recipe", "tiny", "--corpus", "rehearsal", "--save-every", "3")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A trial's own folder: results and models in it, temporary files and what its runs said."""

    folder: Path

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.folder / "results"

    @property
    def models(self) -> Path:
        """Where `--save` keeps the fine-tuned models."""
        return self.folder / "models"

    @property
    def saved(self) -> Path:
        """Where each run notes the steps whose state it takes for saved."""
        return self.folder / "saved"

    def arguments(self, *, seed: int = 0) -> list[str]:
        """Return the command line of the run."""
        return [*RUN, "--seeds", str(seed), "--results", str(self.results), "--save", str(self.models)]

    def states(self) -> list[Path]:
        """Return the folders of saved training states under their final name, oldest step first."""
        return sorted(p for p in self.results.glob("unfinished/*/step-*") if p.name.removeprefix("step-").isdigit())

    def shown(self, text: str) -> str:
        """Return what a run said, without the folder that it happened in and with keys cut short."""
        return KEY.sub(r"\1…", text.replace(f"{self.folder}/", "").replace(str(self.folder), "."))


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: its exit code, or minus the signal that killed it, and what it said."""

    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        """Whether a signal ended it at once."""
        return self.code < 0

    @property
    def line(self) -> str:
        """The first line on standard error, or the first of its output."""
        return next((line.strip() for line in (self.err + self.out).splitlines() if line.strip()), "")

    @property
    def answered(self) -> bool:
        """Whether it ended as the suite means to end: done, interrupted on request, or with an error of its own."""
        if "Traceback (most recent call last)" in self.err:
            return False
        return self.code in (0, 130, 143) or (self.code in (2, 3) and "error: " in self.err)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run on its way."""

    pid: int
    begin: float
    out: Path
    err: Path

    def rest_until(self, seconds: float) -> None:
        """Let it run until so many seconds after it began."""
        time.sleep(max(0.0, self.begin + seconds - time.perf_counter()))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended already takes no notice."""
        os.kill(self.pid, number)  # its process stays in the table until it is waited for

    def limit_files(self, size: int) -> None:
        """Let it write no file beyond `size` bytes from now on."""
        with suppress(ProcessLookupError):
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, size))

    def until(self, condition: Callable[[], bool]) -> float:
        """Wait until the condition holds, and return the seconds since the run began."""
        while not condition() and time.perf_counter() - self.begin < LIMIT_SECONDS:
            time.sleep(0.005)
        return time.perf_counter() - self.begin

    def wait(self) -> Ended:
        """Wait for its end."""
        _, status = os.waitpid(self.pid, 0)
        return Ended(
            code=os.waitstatus_to_exitcode(status),
            out=self.out.read_text(encoding="utf-8", errors="replace"),
            err=self.err.read_text(encoding="utf-8", errors="replace"),
        )


def start(
    place: Place, arguments: list[str], *, plant: Plant | None = None, as_nobody: bool = False, real: bool = False
) -> Run:
    """Start `repro ARGUMENTS` in a fork of this process, or in a new interpreter if `real`.

    `plant` is called in the child before the suite; `as_nobody` gives up root's rights there.
    """
    said = place.folder / "said"
    said.mkdir(parents=True, exist_ok=True)
    place.saved.touch()
    place.saved.chmod(0o666)
    name = f"{len(list(said.glob('*.out')))}-{time.monotonic_ns()}"
    out, err = said / f"{name}.out", said / f"{name}.err"
    opened = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) for path in (out, err)]
    begin = time.perf_counter()
    pid = os.fork()
    if pid:
        for descriptor in opened:
            os.close(descriptor)
        return Run(pid=pid, begin=begin, out=out, err=err)
    code = 70
    try:
        _settle(place, opened, as_nobody=as_nobody)
        if real:
            command = [sys.executable, "-m", "repro", *arguments]
            os.execve(sys.executable, command, {**os.environ, **ONE_THREAD})  # noqa: S606 (no shell is wanted)
        _note_saved_states(place.saved)
        if plant is not None:
            plant()
        code = _front_door(arguments)
    except BaseException:  # noqa: BLE001 (the child ends here whatever it met, and says what it was)
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def run(place: Place, arguments: list[str], *, plant: Plant | None = None) -> Ended:
    """Run `repro ARGUMENTS` to its end."""
    return start(place, arguments, plant=plant).wait()


def _settle(place: Place, opened: list[int], *, as_nobody: bool) -> None:
    os.setsid()
    signal.alarm(LIMIT_SECONDS)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, wanted in zip((nothing, *opened), (0, 1, 2), strict=True):
        os.dup2(descriptor, wanted)
        os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (they are the child's to its end)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    temporary = place.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    if as_nobody and os.geteuid() == 0:
        for path in (place.folder, temporary):
            os.chown(path, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.environ["TMPDIR"] = str(temporary)
    import tempfile

    tempfile.tempdir = None  # it is read again


def _note_saved_states(file: Path) -> None:
    from repro.training.resume import state as states

    write_state = states.write_state

    def noted(*arguments: Any, **named: Any) -> Path:
        state = write_state(*arguments, **named)
        with file.open("a", encoding="utf-8") as steps:
            steps.write(f"{named['step']}\n")
        return state

    states.write_state = noted


def _front_door(arguments: list[str]) -> int:
    from repro.cli import main

    sys.argv = ["repro", *arguments]
    try:
        main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the interpreter would
        os.kill(os.getpid(), signal.SIGINT)
    return 0
