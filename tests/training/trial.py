"""A training in tiny shapes that can be cut off, asked to stop and resumed."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from transformers import PreTrainedModel, set_seed

from repro.assets.loading import load_classifier
from repro.sections.context import Context
from repro.training.device import make_accelerator
from repro.training.loop import fit
from repro.training.progress import Advance, Progress
from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy


class Killed(BaseException):
    """The process is gone."""


@dataclass
class DoAt(Progress):
    """Does something at one of the advances of all its bars together, counted from 1."""

    at: int
    do: Callable[[], None]
    enabled: bool = False
    seen: int = 0

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        def advance(done: int, loss: Tensor | None) -> None:
            self.seen += 1
            if self.seen == self.at:
                self.do()

        yield advance


def cut_off(at: int) -> DoAt:
    """Kill the process."""

    def kill() -> None:
        raise Killed

    return DoAt(at, kill)


def asked_to_stop(at: int, number: signal.Signals, *, times: int = 1) -> DoAt:
    """Send this process a signal."""

    def ask() -> None:
        for _ in range(times):
            os.kill(os.getpid(), number)

    return DoAt(at, ask)


def plant_fp16(accelerator: Accelerator, **scaler: Any) -> None:
    """Give an Accelerator on the CPU what one for fp16 has on a GPU: autocast to fp16 and a GradScaler."""
    accelerator.state._mixed_precision = "fp16"
    accelerator.native_amp = True
    accelerator.scaler = torch.amp.GradScaler("cpu", **scaler)


@dataclass(kw_only=True)
class Trial:
    """Two epochs of six steps in batches of 16, with states in a folder; what it said is in `lines`."""

    context: Context
    folder: Path
    lines: list[str] = field(default_factory=list)
    plant: Callable[[Accelerator], None] = lambda accelerator: None

    def train(
        self, *, progress: Progress | None = None, epochs: int = 2, seed: int = 0, **policy: Any
    ) -> tuple[dict[str, Any], Checkpointer]:
        """Train, or resume, and return all that a training gives but its seconds."""
        context, batching = self.context, str(self.context.spec.batching)
        AcceleratorState._reset_state(reset_partial_state=True)  # a new process would begin with none
        accelerator = make_accelerator(device="cpu", precision="fp32")
        self.plant(accelerator)
        chosen = CheckpointPolicy(tell=self.lines.append, **policy)
        checkpointer = Checkpointer(
            self.folder / "unfinished", "finetune, seed 0", {"batching": batching, "seed": seed}, accelerator, chosen
        )
        with checkpointer.locked(), checkpointer.interruptible():
            set_seed(seed)
            model = load_classifier(context.checkpoint.folder)
            results = fit(
                model, recipe=replace(context.recipe, batch_size=16, epochs=epochs), seed=seed, batching=batching,
                train=context.examples["train"], validation=context.examples["validation"],
                accelerator=accelerator, progress=progress, checkpointer=checkpointer,
            )  # fmt: skip
            outcome = {"epochs": [_figures(result) for result in results], "weights": sha256_of(model)}
        return outcome, checkpointer


def _figures(result: Any) -> dict[str, Any]:
    figures = {"epoch": result.epoch.model_dump(exclude={"train_seconds", "tweets_per_second"})}
    outputs = {"logits": result.validation.logits.tolist(), "losses": result.validation.losses.tolist()}
    return figures | outputs | {"pieces": result.computed_pieces}


def sha256_of(model: PreTrainedModel) -> str:
    """The SHA-256 of all parameters, bit for bit."""
    content = hashlib.sha256()
    for parameter in model.parameters():
        content.update(parameter.detach().numpy().tobytes())
    return content.hexdigest()
