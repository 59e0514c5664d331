"""Several processes on one run: how many were started, what they may share, and what happens when one is lost.

A launcher (torchrun, `accelerate launch`) tells each process its number in the environment; through Accelerate the
processes share every global batch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np

from repro.errors import ProcessLostError, UsageError

WAIT_SECONDS = 1_800  # the main process may work alone for as long, on hidden states or their projection
LOST = re.compile(r"gloo|nccl|connection (was )?(closed|reset|refused)|broken pipe|timed? ?out|remote process", re.I)


def process_count() -> int:
    """Return how many processes the launcher started, 1 without one; UsageError for numbers that can't be."""
    rank, count = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and count.isdecimal() and int(rank) < int(count)):
        raise UsageError(
            f"RANK={rank}, WORLD_SIZE={count}: expected a process's number below their count",
            "Let torchrun or accelerate launch set these variables.",
        )
    return int(count)


def local_rank() -> int:
    """Return this process's number on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def check_processes(batch_size: int, count: int) -> None:
    """Raise UsageError unless `count` processes can share the global batch evenly."""
    if batch_size % count:
        *fitting, last = [str(n) for n in range(1, batch_size + 1) if batch_size % n == 0]
        raise UsageError(
            f"{count} processes: the global batch of {batch_size} rows cannot be shared evenly; nothing was run",
            f"Start {', '.join(fitting)} or {last} processes.",
        )


def process_seed(seed: int, process: int) -> int:
    """Return the seed that a process draws its dropout from: `seed` itself for the main one.

    torch's generator on the CPU begins from a seed's low 32 bits alone; these differ from process to process.
    """
    return int(np.random.SeedSequence([seed, process]).generate_state(1)[0]) if process else seed


def wait_time() -> timedelta:
    """Return how long a process waits for the others before it gives up; REPRO_WAIT_SECONDS is in seconds."""
    seconds = os.environ.get("REPRO_WAIT_SECONDS", str(WAIT_SECONDS))
    if not (seconds.isdecimal() and 0 < int(seconds) < 10**6):
        raise UsageError(f"REPRO_WAIT_SECONDS={seconds}: expected a whole number of seconds", f"Try {WAIT_SECONDS}.")
    return timedelta(seconds=int(seconds))


@contextmanager
def watched(count: int) -> Iterator[None]:
    """Turn what torch says when one of `count` processes is lost into ProcessLostError."""
    try:
        yield
    except RuntimeError as error:
        if count == 1 or not LOST.search(str(error)):
            raise
        raise ProcessLostError(
            f"one of {count} processes ended or no longer answers ({str(error).strip().splitlines()[0][:120]})",
            "See what the first one said, then start the same command again: saved states and records are untouched.",
        ) from None
