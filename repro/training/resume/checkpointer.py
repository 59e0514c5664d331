"""When a run's states are saved, what happens where that can't be done, and how the run is resumed from one."""

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
from repro.training.resume import state as states
from repro.training.resume.lock import locked
from repro.training.resume.signals import Leave, StopRequest

SAVE_SECONDS = 60.0  # by the clock, no save within an epoch sooner after the one before
SHARE = 50  # nor at its end before so many times what that one took: saving stays near 2 % of the time
AGREE_STEPS = 10  # how often several GPUs, which would wait for it, ask each other whether to save or to stop


@dataclass(frozen=True, kw_only=True)
class CheckpointPolicy:
    """Whether completed and unfinished runs are run again or resumed, and how often a state is saved.

    `save_every` counts optimizer steps, and the end of each epoch is added; None goes by the clock. `tell` is given a
    line about an unfinished run, `tell_done` one about a completed run.
    """

    again: bool = False
    fresh: bool = False
    resume: bool = False
    save_every: int | None = None
    tell: Callable[[str], None] = lambda line: None
    tell_done: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if self.save_every is not None and self.save_every < 1:
            raise UsageError(f"--save-every {self.save_every}: expected at least 1 step", "Leave it out for the clock.")
        if self.fresh and self.resume:
            raise UsageError("--fresh and --resume exclude each other", "Give one of them.")


class Checkpointer:
    """Saves the states of one run in its folder, and resumes its training from the newest of them.

    `notes` go into every state and come back: what the section must know again, such as the seed of its head.
    `seconds` were spent on saving.
    """

    def __init__(
        self,
        unfinished: Path,
        name: str,
        decided_by: dict[str, JsonValue],
        accelerator: Accelerator,
        policy: CheckpointPolicy,
    ) -> None:
        self.name, self.decided_by, self.accelerator, self.policy = name, decided_by, accelerator, policy
        self.key = run_key(decided_by)
        self.folder = unfinished / self.key
        self.notes: dict[str, Any] = {}
        self.resumed_after: list[int] = []
        self.not_saved = 0
        self.seconds = 0.0
        self._stop = StopRequest(immediate=accelerator.num_processes == 1)
        self._state: states.State | None = None  # to be restored
        self._saved_step = 0
        self._last_cost, self._last_save = 0.0, time.perf_counter()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run's folder against other processes within the block; one without any state is removed after it."""
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
    def interruptible(self) -> Iterator[None]:
        """Read the state to resume from, and turn SIGINT and SIGTERM within the block into InterruptedRunError."""
        try:
            with self._stop.listening():
                self._read()
                yield
        except Leave as leave:
            kind = InterruptedRunError if leave.number == signal.SIGINT else TerminatedRunError
            step, _ = self.newest_step()
            where = f"its state after step {step} is saved" if step else "nothing of it was saved yet"
            raise kind(
                f"{self.name} was stopped; {where}",
                "Start the same command again to resume it; --fresh starts at step 0.",
            ) from None

    def restore(self, training: Training) -> None:
        """Bring a training that was just prepared to the state that was read, if any."""
        if self._state is not None:
            snapshot.restore(training, self._state)
            self._state = None  # its tensors are no longer needed

    @contextmanager
    def finish_step(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM wait within the block for the end of the step in hand."""
        with self._stop.deferred():
            yield

    def is_due(self, training: Training) -> bool:
        """Return whether a state is to be saved after this step; of several processes each must ask.

        After the last step it always is: what is left to do then is to evaluate, and to write the record.
        """
        every, waited = self.policy.save_every, time.perf_counter() - self._last_save
        if every:
            due = training.step % every == 0 or training.epoch_ends
        else:
            least = 0 if training.epoch_ends else SAVE_SECONDS
            due = training.step == training.steps or waited >= max(least, SHARE * self._last_cost)
        if self.accelerator.num_processes > 1:
            apart = AGREE_STEPS if self.accelerator.device.type == "cuda" else 1
            if training.step % apart and not training.epoch_ends and not (every and due):
                return False
            mine = torch.tensor([[self._stop.number, due]], device=self.accelerator.device)
            answers = self.accelerator.gather(mine)  # (processes, 2)
            self._stop.number, due = int(answers[:, 0].max()), bool(answers[0, 1])
        return due or bool(self._stop.number)

    def save(self, training: Training) -> None:
        """Save a state, and leave where a signal asked for it; a disk that refuses it costs one line, not the run."""
        start = time.perf_counter()
        numbers, tensors = snapshot.capture(training)
        numbers |= {"notes": self.notes, "resumed_after": self.resumed_after, "not_saved": self.not_saved}
        numbers["seconds"] = self.seconds
        if self.accelerator.is_main_process and training.step != self._saved_step:
            try:
                states.write_state(
                    self.folder, numbers, tensors,
                    key=self.key, decided_by=self.decided_by, step=training.step, steps=training.steps,
                )  # fmt: skip
            except (OSError, states.DamagedStateError) as error:
                self._report_not_saved(training.step, error)
            else:
                self._saved_step = training.step
        self._last_save = time.perf_counter()
        self._last_cost = self._last_save - start
        self.seconds += self._last_cost
        if self._stop.number:
            raise Leave(self._stop.number)

    def facts(self) -> dict[str, JsonValue]:
        """Return what a record says of the parts in which its run was trained."""
        facts: dict[str, JsonValue] = {}
        if self.resumed_after:
            facts["resumed_after_steps"] = list(self.resumed_after)
        if self.not_saved:
            facts["states_not_saved"] = self.not_saved
        return facts

    def newest_step(self) -> tuple[int, int]:
        """Return the step of the newest state, and of how many; zeros where none can be read."""
        for path in states.states_in(self.folder)[:1]:
            with suppress(StateError):
                manifest = states.read_manifest(path)
                return manifest.step, manifest.steps
        return 0, 0

    def discard(self) -> None:
        """Remove the run's folder: its record is written, or nothing of it was saved."""
        if self.accelerator.is_main_process:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # others are unfinished
                self.folder.parent.rmdir()

    def _read(self) -> None:
        if self.accelerator.is_main_process:
            self._state = self._newest_state()
        step = [self._state.manifest.step if self._state else 0]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(step)
        if not step[0]:
            return
        path = self.folder / f"step-{step[0]:06d}"
        if not path.is_dir():
            raise StateError(
                f"{self.name}: the main process resumes from {path}, which this process does not see",
                "Let all machines share one results folder, or start at step 0 with --fresh.",
            )
        state = self._state or states.read_state(path, key=self.key, decided_by=self.decided_by)
        self._state, self._saved_step = state, step[0]
        manifest, numbers = state.manifest, state.manifest.numbers
        self.notes, self.not_saved, self.seconds = numbers["notes"], numbers["not_saved"], numbers["seconds"]
        self.resumed_after = [*numbers["resumed_after"], manifest.step]
        if self.accelerator.is_main_process:
            where = f"after step {manifest.step} of {manifest.steps} (saved {manifest.saved})"
            self.policy.tell(f"resuming {self.name} {where}")

    def _newest_state(self) -> states.State | None:
        for rest in self.folder.glob(".step-*"):  # of a save or a removal that was cut off
            shutil.rmtree(rest, ignore_errors=True)
        paths = states.states_in(self.folder)
        if self.policy.fresh:
            for path in paths:
                states.remove(path)
            return None
        newest = states.read_newest(self.folder, key=self.key, decided_by=self.decided_by, tell=self.policy.tell)
        if newest is None and paths and self.policy.resume:
            raise StateError(f"--resume: every state of {self.name} is damaged", "Start at step 0 without --resume.")
        if newest is None and paths:
            self.policy.tell(f"every state of {self.name} is damaged: it starts at step 0")
        return newest

    def _report_not_saved(self, step: int, error: OSError | StateError) -> None:
        self.not_saved += 1
        if self.not_saved == 1:
            older = f"the one after step {self._saved_step} stays" if self._saved_step else "there is none before it"
            why = (error.strerror if isinstance(error, OSError) else error.what) or str(error)
            self.policy.tell(f"the state after step {step} could not be saved ({why}); {older}, training continues")
