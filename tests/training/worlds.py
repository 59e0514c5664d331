"""Run by a test: worlds of 1, 2 and 4 processes train the same cases and run the same command; one loses a process.

The worlds are forks of one process that has imported everything, which costs seconds, and computed nothing.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import datasets  # noqa: F401 (imported once, here)
import torch
from transformers.models.distilbert import modeling_distilbert  # noqa: F401

import repro.cli
from benchmarks.processes import Case, killed_before_step, main

CASES = (
    # 33 validation rows are 3 batches of 16 for one process, 2 for the first of two and 1 for each of four
    Case(batching="packed", limit=33, batch_size=16),  # 33 rows: the third batch is one row, three of four idle
    Case(batching="dynamic", limit=59, batch_size=16, micro_batches=2),  # the last batch is 11 rows: 3, 3, 3, 2
)
COMMAND = ("run", "finetune", "inference", "--recipe=tiny", "--corpus=rehearsal", "--limit=96", "--epochs=4",
           "--device=cpu", "--save-every=2")  # fmt: skip


def run_world(size: int, work: Callable[[int], None], output: Path) -> tuple[list[int], float]:
    """Fork `size` processes that do the work together; return their exit codes, below 0 the signal, and the seconds.

    `work` is called with the process's number; what a process says goes to files beside `output`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start, children = time.monotonic(), []
    for rank in range(size):
        child = os.fork()
        if not child:
            _be_one_of(size, rank, port, work, output.with_suffix(f".{rank}"))
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return codes, time.monotonic() - start


def _be_one_of(size: int, rank: int, port: int, work: Callable[[int], None], said: Path) -> None:
    code = 70
    try:
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        torch.set_num_threads(1)
        if size > 1:
            group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
            os.environ.update({name: str(value) for name, value in group.items()})
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        work(rank)
        code = 0
    except SystemExit as left:
        code = int(left.code or 0)
    except BaseException:  # noqa: BLE001 (the child ends here whatever it met, and says what it was)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def train(cases: Sequence[Case], output: Path, rank: int) -> None:
    """Train the cases; the main process writes what it holds."""
    del rank
    main(cases, output, None)


def command(results: Path, rank: int, *, kill_before: int | None = None) -> None:
    """Run the command; process 1 kills itself before a step."""
    sys.argv = ["repro", *COMMAND, f"--results={results}"]
    with killed_before_step(kill_before if rank == 1 else None):
        repro.cli.main()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    whole, lost = folder / "whole", folder / "lost"
    works: dict[str, tuple[int, Callable[[int], None]]] = {
        **{str(size): (size, partial(train, CASES, folder / f"{size}.json")) for size in (1, 2, 4)},
        "whole": (2, partial(command, whole)),
        "killed": (2, partial(command, lost, kill_before=6)),
        "resumed": (2, partial(command, lost)),
    }
    ended = {name: run_world(size, work, folder / name) for name, (size, work) in works.items()}
    (folder / "ended.json").write_text(json.dumps(ended))
