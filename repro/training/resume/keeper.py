"""When a run's states are saved, what happens where that cannot be done, and how the run goes on from one."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from pydantic import JsonValue

from repro.errors import InterruptedRunError, StateError, TerminatedRunError, UsageError
from repro.records.durable import sync_folder
from repro.spec import run_key
from repro.training.epochs import Training
from repro.training.resume import snapshot
from repro.training.resume import state as checkpointing
from repro.training.resume.lock import locked
from repro.training.resume.signals import Interrupts, Leave, listening

SAVE_SECONDS = 60.0  # by the clock, no save within an epoch sooner after the one before
SHARE = 50  # nor at its end before so many times what that one took: saving stays near 2 % of the time
AGREE_STEPS = 10  # how often several GPUs, which would wait for it, ask each other whether to save or to stop
GO_ON = "Start the same command again to go on; --fresh starts at step 0."


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What is to be done with runs that were finished or begun before, and how often a state is saved.

    `save_every` counts optimizer steps, and each epoch's end comes to them; None goes by the clock.
    """

    again: bool = False
    fresh: bool = False
    resume: bool = False
    save_every: int | None = None
    tell: Callable[[str], None] = lambda line: None
    tell_done: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.save_every is not None and self.save_every < 1:
            raise UsageError(f"--save-every {self.save_every}: expected at least 1 step", "Leave it out for the clock.")
        if self.fresh and self.resume:
            raise UsageError("--fresh and --resume exclude each other", "Give one of them.")


class Keeper:
    """Saves the states of one run in its folder, and brings its training to where the newest of them was."""

    def __init__(
        self, unfinished: Path, name: str, decided_by: dict[str, JsonValue], accelerator: Accelerator, keeping: Keeping
    ) -> None:
        self.name, self.decided_by, self.accelerator, self.keeping = name, decided_by, accelerator, keeping
        self.key = run_key(decided_by)
        self.folder = unfinished / self.key
        self.notes: dict[str, Any] = {}  # what the experiment must know again, such as the seed of its head
        self.resumed_after: list[int] = []
        self.not_saved = 0
        self.seconds = 0.0  # spent on saving
        self._interrupts = Interrupts()
        self._state: checkpointing.State | None = None
        self._stands = 0  # the step of the newest state that stands
        self._cost, self._last = 0.0, time.perf_counter()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run's folder against other processes within the block; one without any state is removed after it."""
        main = self.accelerator.is_main_process
        with locked(self.folder, self.name) if main else nullcontext():
            try:
                if main:
                    for parent in (self.folder.parent, self.folder.parent.parent):
                        sync_folder(parent)  # else a state could be durable in a folder that is not
                yield
            finally:
                if main and not list(self.folder.glob("step-*")):
                    self.discard()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Find the state to go on from, and turn SIGINT and SIGTERM within the block into InterruptedRunError."""
        try:
            with listening(alone=self.accelerator.num_processes == 1) as self._interrupts:
                self._find()
                yield
        except Leave as left:
            kind = InterruptedRunError if left.number == signal.SIGINT else TerminatedRunError
            step, _ = self.newest_step()
            where = f"its state after step {step} is saved" if step else "nothing of it was saved yet"
            raise kind(f"{self.name} was stopped; {where}", GO_ON) from None

    def restore(self, training: Training) -> None:
        """Bring a training that was just prepared to the state that was found, if any."""
        if self._state is not None:
            snapshot.restore(training, self._state)
            self._state = None  # its tensors are no longer needed

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM wait for the end of the step in hand."""
        with self._interrupts.held_back():
            yield

    def wants(self, step: int, *, epoch_ends: bool, run_ends: bool) -> bool:
        """Tell whether a state is to be saved after this step; of several processes each must ask.

        The one after the last step always is: what is left to do then is to evaluate, and to write the record.
        """
        every, waited = self.keeping.save_every, time.perf_counter() - self._last
        if every:
            due = step % every == 0 or epoch_ends
        else:
            due = run_ends or waited >= max(0 if epoch_ends else SAVE_SECONDS, SHARE * self._cost)
        if self.accelerator.num_processes > 1:
            apart = AGREE_STEPS if self.accelerator.device.type == "cuda" else 1
            if step % apart and not epoch_ends and not (every and due):
                return False
            mine = torch.tensor([[self._interrupts.asked, due]], device=self.accelerator.device)
            answers = self.accelerator.gather(mine)  # (processes, 2)
            self._interrupts.asked, due = int(answers[:, 0].max()), bool(answers[0, 1])
        return due or bool(self._interrupts.asked)

    def save(self, training: Training) -> None:
        """Save a state, and leave where a signal has asked for it; a disk that refuses is told once."""
        begun = time.perf_counter()
        numbers, tensors = snapshot.capture(training)
        numbers |= {"notes": self.notes, "resumed_after": self.resumed_after, "not_saved": self.not_saved}
        numbers["seconds"] = self.seconds
        if self.accelerator.is_main_process and training.step != self._stands:
            try:
                checkpointing.write_state(
                    self.folder, numbers, tensors,
                    key=self.key, decided_by=self.decided_by, step=training.step, steps=training.steps,
                )  # fmt: skip
            except OSError as error:
                self._tell_refused(training.step, error)
            else:
                self._stands = training.step
        self._last = time.perf_counter()
        self._cost = self._last - begun
        self.seconds += self._cost
        if self._interrupts.asked:
            raise Leave(self._interrupts.asked)

    def facts(self) -> dict[str, JsonValue]:
        """Return what a record says of the parts that its run was made in."""
        found: dict[str, JsonValue] = {}
        if self.resumed_after:
            found["resumed_after_steps"] = list(self.resumed_after)
        if self.not_saved:
            found["states_not_saved"] = self.not_saved
        return found

    def newest_step(self) -> tuple[int, int]:
        """Return the step of the newest state that stands, and of how many; zeros where none that can be read does."""
        for path in checkpointing.states_in(self.folder)[:1]:
            with suppress(StateError):
                manifest = checkpointing.read_manifest(path)
                return manifest.step, manifest.steps
        return 0, 0

    def discard(self) -> None:
        """Remove the run's folder: its record stands, or nothing of it was saved."""
        if self.accelerator.is_main_process:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # others are unfinished
                self.folder.parent.rmdir()

    def _find(self) -> None:
        if self.accelerator.is_main_process:
            self._state = self._newest()
        step = [self._state.manifest.step if self._state else 0]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(step)
        if not step[0]:
            return
        path = self.folder / f"step-{step[0]:06d}"
        if not path.is_dir():
            raise StateError(
                f"{self.name}: the main process goes on from {path}, which this process does not see",
                "Let all machines share one results folder, or start at step 0 with --fresh.",
            )
        state = self._state or checkpointing.read_state(path, key=self.key, decided_by=self.decided_by)
        self._state, self._stands = state, step[0]
        self.notes, self.not_saved = state.numbers["notes"], state.numbers["not_saved"]
        self.seconds = state.numbers["seconds"]
        self.resumed_after = [*state.numbers["resumed_after"], step[0]]
        manifest = state.manifest
        if self.accelerator.is_main_process:
            where = f"after step {manifest.step} of {manifest.steps} (saved {manifest.saved})"
            self.keeping.tell(f"going on with {self.name}, {where}")

    def _newest(self) -> checkpointing.State | None:
        for left in self.folder.glob(".step-*"):  # of a save or a removal that was cut off
            shutil.rmtree(left, ignore_errors=True)
        before = checkpointing.states_in(self.folder)
        if self.keeping.fresh:
            for path in before:
                checkpointing.remove(path)
            return None
        found = checkpointing.read_newest(self.folder, key=self.key, decided_by=self.decided_by, tell=self.keeping.tell)
        if found is None and before and self.keeping.resume:
            raise StateError(f"--resume: no state of {self.name} is whole", "Leave --resume out to start at step 0.")
        if found is None and before:
            self.keeping.tell(f"no state of {self.name} is whole: it starts at step 0")
        return found

    def _tell_refused(self, step: int, error: OSError) -> None:
        self.not_saved += 1
        if self.not_saved == 1:
            stays = f"the one after step {self._stands} stays" if self._stands else "there is none before it"
            why = error.strerror or str(error)
            self.keeping.tell(f"the state after step {step} could not be saved ({why}); {stays}, training goes on")
