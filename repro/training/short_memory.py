"""Memory that runs short in a step: the same step again in smaller parts, so that the global batch stays whole."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from repro.errors import MemoryShortError
from repro.training.epochs import Doubling, Training
from repro.training.randomness import set_torch_states, torch_states

Found = TypeVar("Found")
SHORT = re.compile(r"not enough memory|DefaultCPUAllocator|out of memory|bad_alloc|ALLOC_FAILED", re.IGNORECASE)
REMEDY = "Free memory, start fewer processes on this machine, or take a smaller batch apart with --micro-batches."


def is_short_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory does not suffice: torch's on a GPU, its allocator's on a CPU, Python's."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(SHORT.search(str(error)))


def within_memory(training: Training, rows: int, attempt: Callable[[int], Found]) -> Found:
    """Return what `attempt` makes of a step of `rows` rows in so many parts; twice as many where memory runs short.

    The attempt is made again from the same random state and without its gradients. MemoryShortError where a part is
    one row already, or where several processes train: the others wait for this one's gradients.
    """
    device = training.accelerator.device
    while True:
        before = torch_states(device)
        try:
            return attempt(training.micro_batches)
        except (RuntimeError, MemoryError) as error:
            if not is_short_memory(error):
                raise
        if training.micro_batches >= rows or training.accelerator.num_processes > 1:
            raise MemoryShortError(
                f"memory does not suffice for step {training.step + 1} in {training.micro_batches} "
                f"part{'s' * (training.micro_batches > 1)} of the batch",
                f"Start again with --micro-batches {2 * training.micro_batches}."
                if training.micro_batches < rows
                else REMEDY,
            )
        set_torch_states(before, device)
        training.optimizer.zero_grad()
        training.micro_batches *= 2
        training.so_far.doublings.append(Doubling(step=training.step + 1, micro_batches=training.micro_batches))
        gc.collect()  # what the failed attempt left is freed before the next one
        if device.type == "cuda":
            torch.cuda.empty_cache()


@contextmanager
def short_memory_told(what: str) -> Iterator[None]:
    """Turn memory that does not suffice within the block into MemoryShortError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_short_memory(error):
            raise
        raise MemoryShortError(f"{what}: memory does not suffice", REMEDY) from None
