"""Run by a test: worlds of 1, 2 and 4 processes train the same cases and run the same command; one loses a process.

The worlds are forks of one process that has imported everything, which costs seconds, and computed nothing.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import datasets  # noqa: F401 (imported once, here)
import torch
from transformers.models.distilbert import modeling_distilbert  # noqa: F401

import repro.cli  # noqa: F401
from benchmarks.processes import Case, killed_before_step, main
from tests.forked import fork
from tests.forked import repro as run_repro

CASES = (
    # 33 validation rows are 3 batches of 16 for one process, 2 for the first of two and 1 for each of four
    Case(batching="packed", limit=33, batch_size=16),  # 33 rows: the third batch is one row, three of four idle
    Case(batching="dynamic", limit=59, batch_size=16, micro_batches=2),  # the last batch is 11 rows: 3, 3, 3, 2
)
COMMAND = ("run", "finetune", "inference", "--recipe=tiny", "--corpus=rehearsal", "--limit=96", "--epochs=4",
           "--device=cpu", "--save-every=2")  # fmt: skip


def run_world(size: int, work: Callable[[int], object], output: Path) -> tuple[list[int], float]:
    """Let `size` processes do the work together; return their exit codes, below 0 the signal, and the seconds.

    `work` is called with the process's number; what a process says goes to files beside `output`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1"}
        group["MASTER_PORT"] = free.getsockname()[1]

    def be(rank: int) -> None:
        torch.set_num_threads(1)
        if size > 1:
            os.environ.update({name: str(value) for name, value in {"RANK": rank, "LOCAL_RANK": rank, **group}.items()})
        work(rank)

    start = time.monotonic()
    children = [fork(partial(be, rank), *[output.with_suffix(f".{rank}")] * 2) for rank in range(size)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], time.monotonic() - start


def train(output: Path, _: int) -> None:
    """Train the cases; the main process writes what it holds."""
    main(CASES, output, None)


def command(results: Path, rank: int, *, kill_before: int | None = None) -> None:
    """Run the command; process 1 kills itself before a step."""
    with killed_before_step(kill_before if rank == 1 else None):
        run_repro(*COMMAND, f"--results={results}")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    works: dict[str, tuple[int, Callable[[int], object]]] = {
        **{str(size): (size, partial(train, folder / f"{size}.json")) for size in (1, 2, 4)},
        "whole": (2, lambda rank: command(folder / "whole", rank)),
        "killed": (2, lambda rank: command(folder / "lost", rank, kill_before=6)),
        "resumed": (2, lambda rank: command(folder / "lost", rank)),
    }
    ended = {name: run_world(size, work, folder / name) for name, (size, work) in works.items()}
    (folder / "ended.json").write_text(json.dumps(ended))
