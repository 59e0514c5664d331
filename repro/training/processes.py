"""Several processes on one run: how many were started, what they may share, and what happens when one is lost.

A launcher (torchrun, `accelerate launch`, srun) tells each process its number in the environment. The processes
share every global batch, through Accelerate, or each takes whole seeds and knows nothing of the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from repro.errors import ProcessLostError, UsageError

SPREADS = ("batch", "seeds")
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")  # accelerate launch sets them too
# srun's; those without STEP are also set in a batch script, which is one process alone
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
# what Accelerate takes for the word that it belongs to a group
GROUP = re.compile(r"RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|(PMI|OMPI_COMM_WORLD|MV2_COMM_WORLD)_\w+")
WAIT_SECONDS = 1_800  # the main process may work alone for as long, on hidden states or their projection
WAIT_VARIABLE = "REPRO_WAIT_SECONDS"
LOST = re.compile(r"gloo|nccl|connection (was )?(closed|reset|refused)|broken pipe|timed? ?out|remote process", re.I)


@dataclass(frozen=True, kw_only=True)
class Place:
    """This process's number among the `count` of its launch, from 0 on; `local` is its number on its machine."""

    number: int = 0
    count: int = 1
    local: int = 0

    def share(self, seeds: list[int]) -> list[int]:
        """Return the seeds that fall to this process: every `count`-th, from its number on."""
        return seeds[self.number :: self.count]


def find_place(names: tuple[str, str, str] = TORCHRUN) -> Place | None:
    """Return the place that a launcher gave this process by these variables, None where none did."""
    values = [os.environ.get(name) for name in names]
    if values[1] is None:
        return None
    try:
        number, count, local = (int(value or 0) for value in values)
    except ValueError:
        number, count, local = -1, 0, 0
    if not 0 <= number < count:
        raise UsageError(
            f"{names[0]}={values[0]}, {names[1]}={values[1]}: expected a process's number below their count",
            "Let torchrun, accelerate launch or srun set these variables.",
        )
    return Place(number=number, count=count, local=local)


def check_processes(batch_size: int, count: int | None = None) -> int:
    """Return how many processes share a batch; UsageError unless the global batch can be shared evenly.

    `count` None asks the environment, before there is any group. srun's tasks that no torchrun leads know nothing of
    each other: each would run everything.
    """
    if count is None:
        tasks, place = find_place(SLURM), find_place()
        if place is None and tasks and tasks.count > 1:
            raise UsageError(
                f"srun started {tasks.count} tasks that know nothing of each other: each would run everything",
                "Let srun start torchrun, once a machine, or give each task whole seeds with --spread seeds.",
            )
        count = place.count if place else 1
    if batch_size % count:
        fitting = [n for n in range(1, batch_size + 1) if batch_size % n == 0]
        raise UsageError(
            f"{count} processes: the global batch of {batch_size} rows cannot be shared evenly; nothing was run",
            f"Start {', '.join(map(str, fitting[:-1]))} or {fitting[-1]}, or give each whole seeds: --spread seeds.",
        )
    return count


def leave_group() -> Place:
    """Take this process out of its launch's group, with the GPU of its local number alone, and return its place.

    To be called before anything asks torch for a device. UsageError where no launcher started this process.
    """
    place = find_place() or find_place(SLURM)
    if place is None:
        raise UsageError(
            "--spread seeds: this is one process alone, there is nothing to spread over",
            "Start it with torchrun, accelerate launch or srun, or leave --spread out.",
        )
    for name in [name for name in os.environ if GROUP.fullmatch(name) or name in SLURM]:
        del os.environ[name]
    _keep_one_gpu(place.local)
    return place


def _keep_one_gpu(local: int) -> None:
    import torch

    if count := torch.cuda.device_count():  # asks the driver; no context is made
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        visible = named.split(",") if named else [str(i) for i in range(count)]
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[local % len(visible)]


def wait_time() -> timedelta:
    """Return how long a process waits for the others before it gives up; REPRO_WAIT_SECONDS is in seconds."""
    told = os.environ.get(WAIT_VARIABLE, str(WAIT_SECONDS))
    if not (told.isdecimal() and 0 < int(told) < 10**6):
        raise UsageError(f"{WAIT_VARIABLE}={told}: expected a whole number of seconds", f"Try {WAIT_SECONDS}.")
    return timedelta(seconds=int(told))


@contextmanager
def watched(count: int) -> Iterator[None]:
    """Turn what torch says when one of `count` processes is lost into ProcessLostError."""
    try:
        yield
    except RuntimeError as error:
        found = LOST.search(str(error))
        if count == 1 or not found:
            raise
        raise ProcessLostError(
            f"one of {count} processes ended or no longer answers ({_first_line(error)}): the others cannot go on",
            "See what the first one said, then start the same command again: saved states and records are untouched.",
        ) from None


def _first_line(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"^\[\S+:\d+\]\s*|\[[\d.:a-fA-F]+\]:\d+", "", line).strip()[:120]
