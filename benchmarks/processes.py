"""The same training on several processes? One case, trained by every process of a launch.

A case is trained without dropout unless it says otherwise: each process draws masks of its own, so with dropout on
the losses agree as those of two seeds do and no closer. Tests assert what is measured here and `test_processes.py`
puts it on record.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import set_seed

from repro.assets.loading import load_classifier
from repro.sections.runner import open_context
from repro.spec import Batching, RunSpec
from repro.training.data import Examples
from repro.training.loop import fit
from repro.training.predict import predict_rows
from repro.training.processes import watched

ROOT = Path(__file__).parents[1]
PORT = 29_611
NAMESPACES = ("repro-a", "repro-b")
ADDRESSES = ("10.213.77.1", "10.213.77.2")  # of a pair of virtual cables between the two


@dataclass(frozen=True, kw_only=True)
class Case:
    """A training on the first `limit` rows of a split of a corpus; `few` further rows are scored after it."""

    recipe: str = "tiny"
    corpus: str = "rehearsal"
    batching: str = "packed"
    dropout: bool = False
    limit: int | None = None
    batch_size: int = 64
    micro_batches: int = 1
    epochs: int = 2
    few: int = 1

    @property
    def name(self) -> str:
        """What the case is told from others by."""
        return f"{self.recipe}, {self.batching}, dropout {'on' if self.dropout else 'off'}"


def train(case: Case) -> dict[str, Any]:
    """Train the case and return what every process holds of it."""
    spec = RunSpec(recipe=case.recipe, corpus=case.corpus, batching=Batching(case.batching), limit=case.limit)
    context = open_context(spec)
    recipe = replace(context.recipe, batch_size=case.batch_size, epochs=case.epochs)
    set_seed(3)
    model = load_classifier(context.checkpoint.folder)
    if not case.dropout:
        for layer in (module for module in model.modules() if isinstance(module, nn.Dropout)):
            layer.p = 0.0
    accelerator = context.accelerator
    shared: dict[str, Any] = {"accelerator": accelerator, "batching": case.batching}
    validation = context.examples["validation"]
    with watched(accelerator.num_processes):
        results = list(
            fit(
                model, recipe=recipe, train=context.examples["train"], validation=validation, seed=3,
                micro_batches=case.micro_batches, **shared,
            )
        )  # fmt: skip
        few = predict_rows(model, first_rows(validation, case.few), batch_size=case.batch_size, **shared)
    accelerator.free_memory()
    last = results[-1].validation
    return {
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "rows": len(context.examples["train"]),
        "losses": [loss for result in results for loss in (result.epoch.train_loss, result.validation.mean_loss)],
        "row_losses": last.losses.tolist(),
        "predictions": last.predictions,
        "few": few.losses.tolist(),
        "computed_pieces": [result.computed_pieces for result in results],
        "epoch_seconds": [result.epoch.train_seconds for result in results],
    }


def first_rows(examples: Examples, rows: int) -> Examples:
    """Return the first rows of a split."""
    tokens = replace(examples.tokens, offsets=examples.tokens.offsets[: rows + 1])
    return Examples(tokens=tokens, labels=examples.labels[:rows])


@contextmanager
def killed_before_step(step: int | None, note: Path | None = None) -> Iterator[None]:
    """Kill this process within the block before an optimizer step, counted from 1; `note` is touched first."""
    taken = 0

    def count(*_: Any) -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            if note:
                note.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    hook = register_optimizer_step_pre_hook(count)
    try:
        yield
    finally:
        hook.remove()


def launches(processes: int, *, machines: int = 1, namespaces: Sequence[str] = ()) -> list[list[str]]:
    """Return the command of each machine that starts its share of the processes; one process needs no launcher."""
    module = [sys.executable, "-m"]
    if processes == 1:
        return [module]
    torchrun = [*module, "torch.distributed.run", f"--nproc-per-node={processes // machines}", "--max-restarts=0"]
    if machines == 1:
        return [[*torchrun, "--standalone", "-m"]]
    address = ADDRESSES[0] if namespaces else "127.0.0.1"
    meeting = [f"--nnodes={machines}", f"--master-addr={address}", f"--master-port={PORT}"]
    inside = [["ip", "netns", "exec", name] if namespaces else [] for name in (namespaces or [""] * machines)]
    return [[*inside[i], *torchrun, *meeting, f"--node-rank={i}", "-m"] for i in range(machines)]


def start(
    commands: Sequence[Sequence[str]], arguments: Sequence[str], *, threads: int = 1
) -> list[subprocess.Popen[str]]:
    """Start one launch a machine, in the given order."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    return [
        subprocess.Popen(
            [*command, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
            env={**environment, **({"GLOO_SOCKET_IFNAME": "veth"} if command[0] == "ip" else {})},
        )
        for command in commands
    ]  # fmt: skip


def finish(started: Sequence[subprocess.Popen[str]], *, timeout: float = 300) -> list[tuple[int, str]]:
    """Wait for the launches and return exit code and output of each; those that take too long are killed."""
    ended = []
    with ExitStack() as stack:
        for process in started:
            stack.enter_context(process)
            stack.callback(process.kill)
        for process in started:
            output, _ = process.communicate(timeout=timeout)
            ended.append((process.returncode, output))
    return ended


@contextmanager
def two_machines() -> Iterator[Sequence[str]]:
    """Give two network namespaces with a cable between them, removed afterwards; OSError where that is not allowed."""
    first, second = NAMESPACES
    try:
        _ip("netns", "add", first)
        _ip("netns", "add", second)
        _ip("link", "add", "veth", "netns", first, "type", "veth", "peer", "name", "veth", "netns", second)
        for name, address in zip(NAMESPACES, ADDRESSES, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "veth")
            _ip("-n", name, "link", "set", "veth", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield NAMESPACES
    finally:
        for name in NAMESPACES:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip() or "ip failed")


def main(cases: Sequence[Case], output: Path, kill_at: int | None) -> None:
    """Train every case; the main process writes what it holds, by the case's name.

    The last process kills itself before step `kill_at`.
    """
    from accelerate import PartialState

    last = int(os.environ.get("RANK", "0")) + 1 == int(os.environ.get("WORLD_SIZE", "1"))
    with killed_before_step(kill_at if last else None, output.with_suffix(".killed")):
        trained = {case.name: train(case) for case in cases}
    if PartialState().is_main_process:
        output.write_text(json.dumps(trained), encoding="utf-8")
    PartialState().wait_for_everyone()
    PartialState().destroy_process_group()


def arguments_of(cases: Sequence[Case], output: Path, kill_at: int | None = None) -> list[str]:
    """Return the arguments that let this module train the cases."""
    return ["benchmarks.processes", json.dumps([asdict(case) for case in cases]), str(output), json.dumps(kill_at)]


if __name__ == "__main__":
    main([Case(**case) for case in json.loads(sys.argv[1])], Path(sys.argv[2]), json.loads(sys.argv[3]))
