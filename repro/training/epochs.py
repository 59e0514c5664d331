"""What a training is made of, how far it has come, and the figures of its epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from repro.errors import TrainingDivergedError
from repro.records.schema import Epoch
from repro.training.predict import RowOutputs

LOSS_NOT_FINITE = "the loss is not finite"
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
    """Sums over the `steps` of an epoch so far.

    `loss` (a scalar) is the sum of this process's shares of the steps' mean losses and `pieces` what it computed;
    `diverged_at` is the first step whose loss was not finite, 0 for none. Both tensors stay on the device, so that
    adding a step never waits for it.
    """

    epoch: int
    loss: Tensor
    diverged_at: Tensor
    pieces: int = 0
    steps: int = 0
    tweets: int = 0
    seconds: float = 0.0
    rates: tuple[float, float] | None = None

    @classmethod
    def start(cls, epoch: int, device: torch.device) -> EpochTotals:
        """Return the totals of an epoch, counted from 1, before its first step."""
        zero = torch.zeros((), device=device)
        return cls(epoch=epoch, loss=zero, diverged_at=zero.long())

    def add(self, loss: Tensor, *, pieces: int, tweets: int, rate: float, scaler: Any = None) -> None:
        """Add a step; `scaler` is fp16's GradScaler, whose scale may have fallen to nothing in it."""
        self.steps += 1
        self.loss += loss
        self.pieces += pieces
        self.tweets += tweets
        self.rates = (self.rates[0] if self.rates else rate, rate)
        healthy = loss.isfinite()
        if scaler is not None:
            healthy &= scaler._get_scale_async() >= SMALLEST_LOSS_SCALE  # `get_scale` would wait for the device
        self.diverged_at.copy_(torch.where((self.diverged_at == 0) & ~healthy, self.steps, self.diverged_at))

    def refuse_divergence(self) -> None:
        """Raise TrainingDivergedError where a step diverged; this waits for the device."""
        if step := int(self.diverged_at):
            finite = bool(self.loss.isfinite())
            refuse_divergence(step, self.epoch, "the loss scale of fp16 fell to nothing" if finite else LOSS_NOT_FINITE)

    def figures(self, accelerator: Accelerator) -> tuple[Epoch, int]:
        """Return the epoch's figures over all processes, and the pieces that they computed."""
        loss = accelerator.reduce(self.loss)  # each process has its share of every step's mean
        pieces = int(accelerator.reduce(torch.tensor(self.pieces, device=accelerator.device)))
        first, last = self.rates or (0.0, 0.0)
        return Epoch(
            epoch=self.epoch,
            steps=self.steps,
            train_loss=loss.item() / self.steps,
            first_learning_rate=first,
            last_learning_rate=last,
            train_seconds=self.seconds,
            tweets_per_second=self.tweets / self.seconds,
        ), pieces


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
    epochs: int
    totals: EpochTotals
    results: list[EpochResult] = field(default_factory=list)
    set_random_states: Callable[[], None] | None = None

    @property
    def step(self) -> int:
        """Optimizer steps taken, over all epochs."""
        return (self.totals.epoch - 1) * self.steps_per_epoch + self.totals.steps

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.epochs * self.steps_per_epoch

    @property
    def epoch_ends(self) -> bool:
        """Whether the epoch under way has taken all its steps."""
        return self.totals.steps == self.steps_per_epoch


def refuse_divergence(step: int, epoch: int, what: str = LOSS_NOT_FINITE) -> NoReturn:
    """Raise TrainingDivergedError for a step of an epoch, both counted from 1."""
    raise TrainingDivergedError(
        f"{what} in epoch {epoch}, step {step}: nothing of this run was recorded",
        "Lower the learning rate, or try --precision fp32; other runs' records are untouched.",
        epoch=epoch,
        step=step,
    )
