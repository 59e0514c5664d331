"""Run by a test: worlds of 1, 2 and 4 processes train the same cases and run the same command; one loses a process.

The worlds are forks of one process that has imported everything, which costs seconds, and computed nothing. The cases
are trained without dropout: each process draws masks of its own, and losses would agree as those of two seeds do.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets  # noqa: F401 (imported once, here)
import torch
from accelerate import PartialState
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import set_seed
from transformers.models.distilbert import modeling_distilbert  # noqa: F401

import repro.cli  # noqa: F401
from repro.sections.runner import open_context
from repro.spec import Batching, RunSpec
from repro.training.device import watched
from repro.training.loop import fit
from repro.training.predict import predict_rows
from tests.forked import fork
from tests.forked import repro as run_repro
from tests.training.trial import without_dropout

# 33 validation rows are 3 batches of 16 for one process, 2 for the first of two and 1 for each of four
CASES = {  # rows of each split, micro-batches
    "packed": (33, 1),  # the third batch is one row, three of four idle
    "dynamic": (59, 2),  # the last batch is 11 rows: 3, 3, 3, 2
}
COMMAND = ("run", "finetune", "inference", "--recipe=tiny", "--corpus=rehearsal", "--limit=96", "--epochs=4",
           "--device=cpu", "--save-every=2")  # fmt: skip


def run_world(size: int, work: Callable[[int], object], output: Path) -> tuple[list[int], float]:
    """Let `size` processes do the work together; return their exit codes, below 0 the signal, and the seconds.

    `work` is called with the process's number; what a process says goes to files beside `output`.
    """
    group = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1"}

    def be(rank: int) -> None:
        torch.set_num_threads(1)
        if size > 1:
            os.environ.update({name: str(value) for name, value in {"RANK": rank, "LOCAL_RANK": rank, **group}.items()})
        work(rank)

    with socket.socket() as port:  # it stays bound, so that nobody else is given it; the world may listen on it
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", 0))
        group["MASTER_PORT"] = port.getsockname()[1]
        start = time.monotonic()
        children = [fork(partial(be, rank), *[output.with_suffix(f".{rank}")] * 2) for rank in range(size)]
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], time.monotonic() - start


def train(batching: str) -> dict[str, Any]:
    """Train a case and return what every process holds of it; `few` is the loss of one row, scored after it."""
    limit, micro_batches = CASES[batching]
    context = open_context(RunSpec(recipe="tiny", corpus="rehearsal", batching=Batching(batching), limit=limit))
    recipe = replace(context.recipe, batch_size=16, epochs=2)
    set_seed(3)
    model = without_dropout(context.checkpoint.folder)
    accelerator, train, validation = context.accelerator, context.examples["train"], context.examples["validation"]
    tokens = replace(validation.tokens, offsets=validation.tokens.offsets[:2])
    one_row = replace(validation, tokens=tokens, labels=validation.labels[:1])
    shared: dict[str, Any] = {"accelerator": accelerator, "batching": batching}
    settings = {"micro_batches": micro_batches, "seed": 3, **shared}
    with watched(accelerator.num_processes):
        results = list(fit(model, recipe=recipe, train=train, validation=validation, **settings))
        few = predict_rows(model, one_row, batch_size=16, **shared)
    accelerator.free_memory()
    return {
        "processes": accelerator.num_processes,
        "losses": [loss for result in results for loss in (result.epoch.train_loss, result.validation.mean_loss)],
        "row_losses": results[-1].validation.losses.tolist(),
        "predictions": results[-1].validation.predictions,
        "few": few.losses.tolist(),
    }


def train_all(output: Path, _: int) -> None:
    """Train the cases; the main process writes what it holds."""
    trained = {batching: train(batching) for batching in CASES}
    if PartialState().is_main_process:
        output.write_text(json.dumps(trained), encoding="utf-8")
    PartialState().wait_for_everyone()
    PartialState().destroy_process_group()


@contextmanager
def killed_before_step(step: int | None) -> Iterator[None]:
    """Kill this process within the block before an optimizer step, counted from 1."""
    taken = 0

    def count(*_: Any) -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)

    hook = register_optimizer_step_pre_hook(count)
    yield
    hook.remove()


def command(results: Path, rank: int, *, kill_before: int | None = None) -> None:
    """Run the command; process 1 kills itself before a step."""
    with killed_before_step(kill_before if rank == 1 else None):
        run_repro(*COMMAND, f"--results={results}")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    works: dict[str, tuple[int, Callable[[int], object]]] = {
        **{str(size): (size, partial(train_all, folder / f"{size}.json")) for size in (1, 2, 4)},
        "whole": (2, partial(command, folder / "whole")),
        "killed": (2, partial(command, folder / "lost", kill_before=6)),
        "resumed": (2, partial(command, folder / "lost")),
    }
    ended = {name: run_world(size, work, folder / name) for name, (size, work) in works.items()}
    (folder / "ended.json").write_text(json.dumps(ended))
