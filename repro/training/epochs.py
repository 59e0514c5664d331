"""What a training is made of, how far it has come, the figures of its epochs, and what a saved state holds of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from repro.errors import TrainingDivergedError
from repro.records.schema import Epoch
from repro.training.predict import RowOutputs

SMALLEST_LOSS_SCALE = 1e-4  # fairseq's --min-loss-scale: 30 halvings of GradScaler's first one, 65,536


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch: its figures, the validation outputs after it, and the pieces (padding counted) that were computed."""

    epoch: Epoch
    validation: RowOutputs
    evaluate_seconds: float
    computed_pieces: int


@dataclass(kw_only=True)
class EpochTotals:
    """Sums over the `steps` of an epoch, counted from 1, so far; tensors are on the device, and adding waits for none.

    `loss` (a scalar) is the sum of this process's shares of the steps' mean losses and `pieces` what it computed;
    `diverged_at` the first step whose loss was not finite, 0 for none; `rates` the first and last learning rate.
    """

    epoch: int
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    diverged_at: Tensor = field(default_factory=lambda: torch.tensor(0))
    pieces: int = 0
    steps: int = 0
    tweets: int = 0
    seconds: float = 0.0
    rates: tuple[float, float] | None = None

    def add(self, loss: Tensor, *, pieces: int, tweets: int, rate: float, scaler: Any = None) -> None:
        """Add a step; `scaler` is fp16's GradScaler, whose scale may have fallen to nothing in it."""
        self.steps += 1
        self.loss = self.loss + loss
        self.pieces += pieces
        self.tweets += tweets
        self.rates = (self.rates[0] if self.rates else rate, rate)
        healthy = loss.isfinite()
        if scaler is not None:
            healthy &= scaler._get_scale_async() >= SMALLEST_LOSS_SCALE  # `get_scale` would wait for the device
        self.diverged_at = torch.where((self.diverged_at == 0) & ~healthy, self.steps, self.diverged_at)

    def refuse_divergence(self, validation: Tensor | None = None) -> None:
        """Raise TrainingDivergedError where a step, or the evaluation after it, diverged; this waits for the device."""
        step, what = int(self.diverged_at), "the loss is not finite"
        if step and self.loss.isfinite():
            what = "the loss scale of fp16 fell to nothing"
        if validation is not None and not validation.isfinite().all():
            step = self.steps
        if not step:
            return
        raise TrainingDivergedError(
            f"{what} in epoch {self.epoch}, step {step}: nothing of this run was recorded",
            "Lower the learning rate, or try --precision fp32; other runs' records are untouched.",
        )

    def figures(self, accelerator: Accelerator) -> tuple[Epoch, int]:
        """Return the epoch's figures over all processes, and the pieces that they computed."""
        loss = accelerator.reduce(self.loss.to(accelerator.device))  # each process has its share of every step's mean
        pieces = int(accelerator.reduce(torch.tensor(self.pieces, device=accelerator.device)))
        first, last = self.rates or (0.0, 0.0)
        return Epoch(
            epoch=self.epoch, steps=self.steps, train_loss=loss.item() / self.steps, first_learning_rate=first,
            last_learning_rate=last, train_seconds=self.seconds, tweets_per_second=self.tweets / self.seconds,
        ), pieces  # fmt: skip


@dataclass(kw_only=True)
class Training:
    """The parts of a training as Accelerate prepared them, the epoch under way and the results of those before it.

    `set_random_states` sets those of a restored state, once, after everything that draws before the next step.
    """

    model: nn.Module
    optimizer: AcceleratedOptimizer
    schedule: LRScheduler
    accelerator: Accelerator
    steps_per_epoch: int
    steps: int  # in all
    totals: EpochTotals
    results: list[EpochResult] = field(default_factory=list)
    set_random_states: Callable[[], None] = lambda: None

    @property
    def step(self) -> int:
        """Optimizer steps taken, over all epochs."""
        return (self.totals.epoch - 1) * self.steps_per_epoch + self.totals.steps

    @property
    def epoch_ends(self) -> bool:
        """Whether the epoch under way has taken all its steps."""
        return self.totals.steps == self.steps_per_epoch

    def capture(self) -> dict[str, Any]:
        """Return numbers and tensors of all processes, each of which must call it.

        The tensors are the training's own: to be written before the next step changes them.
        """
        device, scaler = self.accelerator.device, self.accelerator.scaler
        totals = {name: x.cpu() if isinstance(x, Tensor) else x for name, x in vars(self.totals).items()}
        own = {"totals": totals, "torch": torch.get_rng_state()}
        if device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(device)
        return {
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "processes": gather_object([own]),
            "results": [
                vars(result) | {"epoch": result.epoch.model_dump(), "validation": vars(result.validation)}
                for result in self.results
            ],
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Bring a training that was just prepared to what was captured; random states wait for the next step."""
        device, optimizer = self.accelerator.device, deepcopy(content["optimizer"])  # not the file's own memory
        self.accelerator.unwrap_model(self.model).load_state_dict(content["model"])
        moments = {int(number): tensors for number, tensors in optimizer["state"].items()}
        self.optimizer.load_state_dict(optimizer | {"state": moments})
        self.schedule.load_state_dict(content["schedule"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(content["scaler"])
        own = content["processes"][self.accelerator.process_index]
        self.totals = EpochTotals(**own["totals"])
        self.results = [
            EpochResult(**it | {"epoch": Epoch(**it["epoch"]), "validation": RowOutputs(**it["validation"])})
            for it in content["results"]
        ]

        def set_random_states() -> None:
            torch.set_rng_state(own["torch"])
            if device.type == "cuda":
                torch.cuda.set_rng_state(own["cuda"], device)

        self.set_random_states = set_random_states
