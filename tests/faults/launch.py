"""A run of the suite as a fork of a process that has imported everything, in a folder of its own, and how it ended."""

from __future__ import annotations

import gc
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from repro.assets.loading import load_classifier
from repro.assets.tiny import tiny_folder
from repro.records.provenance import code_state, library_versions, source_sha256
from repro.records.schema import ModelStamp, RunRecord
from repro.sections import context
from repro.sections.context import module_of
from repro.training.resume import state as states
from tests.forked import fork, repro

LIMIT_SECONDS = 120  # a child that hangs is ended, and its trial fails
NOBODY = 65534
Plant = Callable[[], object]  # called in the child, before the suite
KEY = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")
# the run that all faults are put into: 20 steps, a state after every third and after each epoch
RUN = ("run", "finetune", "--recipe", "tiny", "--corpus", "rehearsal", "--save-every", "3")
WARM = (  # what a run imports
    "datasets", "repro.commands.run", "repro.commands.verify", "repro.sections.finetune", "repro.sections.runner",
    "repro.training.device", "repro.training.loop", "repro.training.metrics",
)  # fmt: skip
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: its exit code, or minus the signal that killed it, and what it said."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The first line on standard error, or the first of its output."""
        return next((line.strip() for line in (self.err + self.out).splitlines() if line.strip()), "")

    @property
    def answered(self) -> bool:
        """Whether it was killed, or ended as the suite means to: done, interrupted, or with an error of its own."""
        if "Traceback (most recent call last)" in self.err:
            return False
        return self.code in (0, 130, 143) or self.code < 0 or (self.code in (2, 3) and "error: " in self.err)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run on its way."""

    pid: int
    start: float
    out: Path
    err: Path

    def rest_until(self, seconds: float) -> None:
        time.sleep(max(0.0, self.start + seconds - time.perf_counter()))

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)  # one that has ended stays in the table until it is waited for

    def limit_files(self, size: int) -> None:
        """Let it write no file beyond `size` bytes from now on."""
        with suppress(ProcessLookupError):
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, size))

    def wait(self) -> Ended:
        return self.ended(os.waitpid(self.pid, 0)[1])

    def ended(self, status: int) -> Ended:
        """Return how it ended, from the status with which it was waited for."""
        out, err = (file.read_text(encoding="utf-8", errors="replace") for file in (self.out, self.err))
        return Ended(code=os.waitstatus_to_exitcode(status), out=out, err=err)


class Place:
    """A trial's own folder: results, saved models, and a file in which each run notes the steps that it has saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results, self.models, self.saved = (folder / name for name in ("results", "models", "saved"))

    def states(self) -> list[Path]:
        """Return the saved training states under their final name, oldest step first."""
        return sorted(p for p in self.results.glob("unfinished/*/step-*") if states.NAME.fullmatch(p.name))

    def shown(self, text: str) -> str:
        """Return what a run said, without the folder that it happened in and with keys cut short."""
        return KEY.sub(r"\1…", text.replace(f"{self.folder}/", "").replace(str(self.folder), "."))

    def start(
        self,
        *arguments: str,
        corpus: str = "rehearsal",
        plant: Plant | None = None,
        as_nobody: bool = False,
        real: bool = False,
    ) -> Run:
        """Start `repro ARGUMENTS`, else RUN, in a fork of this process, or in a new interpreter if `real`.

        `plant` is called in the child before the suite; `as_nobody` gives up root's rights there.
        """
        for folder in (said := self.folder / "said", self.folder / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        self.saved.touch()
        self.saved.chmod(0o666)
        options = ("--results", str(self.results), "--save", str(self.models))
        command = arguments or (*(corpus if word == "rehearsal" else word for word in RUN), *options)

        def work() -> None:
            os.setsid()
            signal.alarm(LIMIT_SECONDS)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if as_nobody and os.geteuid() == 0:
                for path in (self.folder, self.folder / "tmp"):
                    os.chown(path, NOBODY, NOBODY)
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.environ["TMPDIR"] = str(self.folder / "tmp")
            tempfile.tempdir = None  # it is read again
            if real:
                interpreter = [sys.executable, "-m", "repro", *command]
                os.execve(sys.executable, interpreter, {**os.environ, **ONE_THREAD})  # noqa: S606 (no shell is wanted)
            _note_saved_states(self.saved)
            if plant is not None:
                plant()
            repro(*command)

        name = f"{len(list(said.glob('*.out')))}-{time.monotonic_ns()}"
        out, err = said / f"{name}.out", said / f"{name}.err"
        return Run(start=time.perf_counter(), pid=fork(work, out, err), out=out, err=err)

    def run(self, *arguments: str, **options: Any) -> Ended:
        return self.start(*arguments, **options).wait()


def _note_saved_states(file: Path) -> None:
    write_state = states.write_state

    def noted(*arguments: Any, **named: Any) -> Path:
        state = write_state(*arguments, **named)
        with file.open("a", encoding="utf-8") as steps:
            steps.write(f"{named['step']}\n")
        return state

    states.write_state = noted


def warm_up() -> None:
    """Import what a run imports, and make what every run would make alike, before the first fork."""
    os.environ.update(ONE_THREAD)
    torch.set_num_threads(1)
    for checkpoint in (tiny_folder().parent, tiny_folder()):
        checkpoint.chmod(0o755)
    for file in tiny_folder().iterdir():
        file.chmod(0o644)
    load_classifier(tiny_folder())
    code_state()
    for name in WARM:
        import_module(name)
    for section in ("finetune", "inference", "linear"):
        source_sha256(module_of(section))
    vars(context)["library_versions"] = cache(library_versions)  # read from the disk seven times a run
    vars(context)["library_versions"]()
    for kind in (RunRecord, ModelStamp):
        kind.model_rebuild()
    gc.collect()
    gc.freeze()  # else every run would go through all that was imported, and copy it
