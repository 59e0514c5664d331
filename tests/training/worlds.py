"""Run by a test: worlds of 1, 2 and 4 processes train the same cases, and in a last one a process is killed.

The worlds are forks of one process that has imported everything, which costs seconds, and computed nothing.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import datasets  # noqa: F401 (imported once, here)
import torch
from transformers.models.distilbert import modeling_distilbert  # noqa: F401

from benchmarks.processes import Case, main, seconds_since
from repro.errors import ReproError

CASES = (
    # 33 validation rows are 3 batches of 16 for one process, 2 for the first of two and 1 for each of four
    Case(batching="packed", limit=33, batch_size=16),  # 33 rows: the third batch is one row, three of four idle
    Case(batching="dynamic", limit=59, batch_size=16, micro_batches=2),  # the last batch is 11 rows: 3, 3, 3, 2
)


def run_world(size: int, cases: Sequence[Case], output: Path, kill_at: int | None = None) -> list[int]:
    """Fork `size` processes that train together; return their exit codes, below 0 the signal."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(size):
        child = os.fork()
        if not child:
            _be_one_of(size, rank, port, cases, output, kill_at)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _be_one_of(size: int, rank: int, port: int, cases: Sequence[Case], output: Path, kill_at: int | None) -> None:
    code = 1
    try:
        torch.set_num_threads(1)
        if size > 1:
            group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
            os.environ.update({name: str(value) for name, value in group.items()})
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        main(cases, output, kill_at)
        code = 0
    except ReproError as error:
        seconds = seconds_since(output.with_suffix(".killed"))
        output.write_text(json.dumps({"error": str(error), "exit_code": error.exit_code, "seconds": seconds}))
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    codes = {str(size): run_world(size, CASES, folder / f"{size}.json") for size in (1, 2, 4)}
    codes["killed"] = run_world(2, CASES[:1], folder / "killed.json", kill_at=2)
    (folder / "codes.json").write_text(json.dumps(codes))
    sys.stdout.write(f"{time.process_time():.1f}\n")
