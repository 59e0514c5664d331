"""When a run's states are saved, what happens where that can't be done, and how the run is resumed from one."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout
from pydantic import JsonValue

from repro.errors import InterruptedRunError, ResultsError, StateError, TerminatedRunError, UsageError
from repro.records.durable import sync_folder
from repro.spec import run_key
from repro.training.epochs import Training
from repro.training.resume import state as states

SAVE_SECONDS = 60.0  # by the clock, no save within an epoch sooner after the one before
SHARE = 50  # nor at its end before so many times what that one took: saving stays near 2 % of the time
AGREE_STEPS = 10  # how often several GPUs, which would wait for it, ask each other whether to save or to stop
CARRIED = ("notes", "seconds", "resumed_after", "not_saved")  # what a state holds beside the training
Decided = dict[str, JsonValue]
LOCK_SECONDS = 0.2  # to wait for a lock: a process that has just completed the run is about to give it back


@dataclass(frozen=True, kw_only=True)
class CheckpointPolicy:
    """Whether completed and unfinished runs are run again or resumed, and how often a state is saved.

    `save_every` counts steps, epochs' ends are added; None goes by the clock. `tell` is given a line about an
    unfinished run, `tell_done` one about a completed run.
    """

    again: bool = False
    fresh: bool = False
    save_every: int | None = None
    tell: Callable[[str], None] = lambda line: None
    tell_done: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        """Refuse an interval that no run can have."""
        if self.save_every is not None and self.save_every < 1:
            raise UsageError(f"--save-every {self.save_every}: expected at least 1 step", "Leave it out for the clock.")


class Checkpointer:
    """Saves the states of one run in its folder, and resumes its training from the newest of them.

    `notes` go into every state and come back: what the section must know again, such as the seed of its head.
    `seconds` were spent on saving.
    """

    def __init__(
        self, unfinished: Path, name: str, decided_by: Decided, accelerator: Accelerator, policy: CheckpointPolicy
    ) -> None:
        self.name, self.decided_by, self.accelerator, self.policy = name, decided_by, accelerator, policy
        self.folder = unfinished / run_key(decided_by)
        self.notes: dict[str, Any] = {}
        self.seconds = 0.0
        self.resumed_after: list[int] = []
        self.not_saved = 0
        self._noted = 0  # the signal that asked this process to stop
        self._signal = 0  # the one that asked any of them, once all of them know
        self._to_restore: dict[str, Any] | None = None
        self._last_cost, self._last_save = 0.0, time.perf_counter()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run's folder against other processes within the block; one without any state is removed after it."""
        if not self.accelerator.is_main_process:
            yield
            return
        with self._acquire():
            try:
                yield
            finally:
                if not list(self.folder.glob("step-*")):
                    shutil.rmtree(self.folder, ignore_errors=True)  # here alone: without it there is no lock
                    with suppress(OSError):  # others are unfinished
                        self.folder.parent.rmdir()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Read the state to resume from, and let SIGINT and SIGTERM within the block end it with a saved state.

        They are noted in a line, unless ignored: InterruptedRunError comes once the step in hand is finished and its
        state saved, between phases where a state stands, or at the block's end, in which the record is written.
        A second SIGINT ends the process at once; a second SIGTERM does not, which launchers and clusters send.
        """
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before = {number: old for number, old in handlers.items() if old is not signal.SIG_IGN}

        def note(number: int, _: object) -> None:
            first, self._noted = not self._noted, self._noted or number
            if signal.SIGINT in before:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            if first and self.accelerator.is_main_process:
                with suppress(OSError, RuntimeError):  # RuntimeError: it came while another line was being written
                    self.policy.tell(f"{self.name} stops after the step or phase in hand; a second Ctrl-C ends it now")

        try:
            for number in before:
                signal.signal(number, note)
            self._read()
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)
        self._leave_where_agreed(where="it is complete, its record is written")

    def restore(self, training: Training) -> None:
        """Bring a training that was just prepared to the state that was read, if any; leave where asked to."""
        if self._to_restore is not None:
            training.restore(self._to_restore)
            self._to_restore = None  # its tensors are no longer needed
        self.leave_if_asked(training)

    def leave_if_asked(self, training: Training) -> None:
        """Leave between phases where a signal asked for it and no step would be lost; each process must ask."""
        self._leave_where_agreed(self.saved_step == training.step)

    def is_due(self, training: Training) -> bool:
        """Return whether a state is to be saved after this step, as after the last one; each process must ask."""
        every, waited = self.policy.save_every, time.perf_counter() - self._last_save
        if every:
            due = training.step % every == 0 or training.epoch_ends
        else:
            least = 0 if training.epoch_ends else SAVE_SECONDS
            due = training.step == training.steps or waited >= max(least, SHARE * self._last_cost)
        several_gpus = self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda"
        if several_gpus and training.step % AGREE_STEPS and not training.epoch_ends and not (every and due):
            return False
        return self._agree(due) or bool(self._signal)

    def _agree(self, answer: bool) -> bool:
        """Return the main process's answer, and learn of a signal that any process got; each process must ask."""
        self._signal = self._noted
        if self.accelerator.num_processes > 1:
            mine = torch.tensor([[self._noted, answer]], device=self.accelerator.device)
            answers = self.accelerator.gather(mine)  # (processes, 2)
            self._signal, answer = int(answers[:, 0].max()), bool(answers[0, 1])
        return answer

    def save(self, training: Training) -> None:
        """Save a state, and leave where a signal asked for it; a disk that refuses it costs one line, not the run."""
        start = time.perf_counter()
        own = {name: getattr(self, name) for name in CARRIED}
        content = own | {"training": training.capture()}  # each process has its part in it
        if self.accelerator.is_main_process:
            try:
                states.write_state(
                    self.folder, content, decided_by=self.decided_by, step=training.step, steps=training.steps
                )
            except (OSError, StateError) as error:
                self.not_saved += 1
                if self.not_saved == 1:
                    why = (error.strerror if isinstance(error, OSError) else error.what) or str(error)
                    unsaved = f"the state after step {training.step} could not be saved ({why})"
                    self.policy.tell(f"{unsaved}; those before it stay, training continues")
        self._last_save = time.perf_counter()
        self._last_cost = self._last_save - start
        self.seconds += self._last_cost
        self._leave_where_agreed()

    def facts(self) -> dict[str, Any]:
        """Return what a record says of the parts in which its run was trained."""
        facts = {"resumed_after_steps": self.resumed_after, "states_not_saved": self.not_saved}
        return {name: value for name, value in facts.items() if value}

    @property
    def saved_step(self) -> int:
        """The step of the newest state, by its name; 0 where there is none."""
        return max(map(states.step_of, states.states_in(self.folder)), default=0)

    def discard(self) -> None:
        """Remove the run's states: its record is written; `locked` then removes its folder."""
        for path in sorted(self.folder.glob("step-*")) if self.accelerator.is_main_process else ():
            with suppress(OSError):  # the last one, if it stays, says that the run is complete
                path.unlink()

    def _leave_where_agreed(self, may_leave: bool = True, *, where: str = "") -> None:
        if not self._agree(may_leave) or not self._signal:
            return
        step = self.saved_step
        where = where or (f"its state after step {step} is saved" if step else "nothing of it was saved yet")
        kind = InterruptedRunError if self._signal == signal.SIGINT else TerminatedRunError
        raise kind(
            f"{self.name} was stopped; {where}",
            "Start the same command again: it resumes, and completed runs are skipped; --fresh starts at step 0.",
        )

    def _acquire(self) -> AbstractContextManager[object]:
        """Make the run's folder and lock it; the kernel gives the lock back when this process dies."""
        lock = FileLock(self.folder / "lock", timeout=LOCK_SECONDS)
        try:
            try:
                acquired = lock.acquire()
            except FileNotFoundError:  # another process completed the run just now, and removed its folder
                acquired = lock.acquire()
            for parent in (self.folder.parent, self.folder.parent.parent):
                sync_folder(parent)  # else a state could be durable in a folder that is not
            return acquired
        except Timeout:
            raise StateError(
                f"{self.name} is being run by another process on this results folder",
                "Wait for it: this command then skips the completed run; or choose another --results folder.",
            ) from None
        except OSError as error:
            raise ResultsError(
                f"cannot save the states of {self.name} in {self.folder}: {error.strerror or error}",
                "Free space or choose another --results folder; nothing was run.",
            ) from None

    def _read(self) -> None:
        state = self._newest_state() if self.accelerator.is_main_process else None
        file = [state.path.name if state else ""]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(file)
        if not file[0]:
            return
        path = self.folder / file[0]
        if not state and not path.is_file():
            raise StateError(
                f"{self.name}: the main process resumes from {path}, which this process does not see",
                "Let all machines share one results folder, or start at step 0 with --fresh.",
            )
        state = state or states.read_state(path, self.decided_by)
        self._to_restore = state.content["training"]
        for name in CARRIED:
            setattr(self, name, state.content[name])
        self.resumed_after = [*self.resumed_after, state.step]
        if self.accelerator.is_main_process:
            where = f"after step {state.step} of {state.steps} (saved {state.saved})"
            self.policy.tell(f"resuming {self.name} {where}")

    def _newest_state(self) -> states.State | None:
        """Return the newest state that is whole; a damaged one is set aside, and the one before it read."""
        for rest in self.folder.glob(".step-*"):  # of a save that was cut off
            rest.unlink()
        for path in (paths := states.states_in(self.folder)):
            if self.policy.fresh:
                path.unlink()
                continue
            try:
                return states.read_state(path, self.decided_by)
            except states.DamagedStateError as error:
                aside = path.rename(path.with_name(f"{path.name}.damaged"))
                self.policy.tell(f"{error.what}; it was moved to {aside}")
        if paths and not self.policy.fresh:
            self.policy.tell(f"every state of {self.name} is damaged: it starts at step 0")
        return None
