"""A training on its way: its parts, what has been gathered of the epoch so far, and the epochs that are finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from repro.errors import TrainingDivergedError
from repro.records.record import Epoch
from repro.training.predict import RowOutputs


@dataclass(frozen=True, kw_only=True)
class Doubling:
    """Memory ran short at an optimizer step, counted from 1 over all epochs: from then on a batch had so many parts."""

    step: int
    micro_batches: int


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch: its figures, the validation outputs after it, and the pieces (padding counted) that were computed.

    `doublings` are those of this epoch, none where memory sufficed.
    """

    epoch: Epoch
    validation: RowOutputs
    evaluate_seconds: float
    computed_pieces: int
    doublings: tuple[Doubling, ...] = ()


@dataclass(kw_only=True)
class EpochSoFar:
    """What has been gathered of an epoch after `steps` of it.

    `loss` (a scalar) is the sum of this process's parts of the steps' mean losses and `pieces` what it computed;
    `diverged_at` is the first step whose loss was not finite, 0 for none.
    """

    number: int
    loss: Tensor
    diverged_at: Tensor
    pieces: int = 0
    steps: int = 0
    tweets: int = 0
    seconds: float = 0.0
    rates: tuple[float, float] | None = None
    doublings: list[Doubling] = field(default_factory=list)

    @classmethod
    def begin(cls, number: int, device: torch.device) -> EpochSoFar:
        """Begin an epoch."""
        return cls(
            number=number,
            loss=torch.zeros((), device=device),
            diverged_at=torch.zeros((), dtype=torch.long, device=device),
        )

    def add(self, loss: Tensor, *, pieces: int, tweets: int, rate: float) -> None:
        """Add a step, without a look at the device."""
        self.steps += 1
        self.loss += loss
        self.pieces += pieces
        self.tweets += tweets
        self.rates = (self.rates[0] if self.rates else rate, rate)
        self.diverged_at.copy_(torch.where((self.diverged_at == 0) & ~loss.isfinite(), self.steps, self.diverged_at))

    def refuse_divergence(self) -> None:
        """Raise TrainingDivergedError where a loss was not finite; this waits for the device."""
        refuse_divergence(int(self.diverged_at), self.number)

    def finish(self, accelerator: Accelerator) -> tuple[Epoch, int]:
        """Return the epoch's figures, of all processes, and the pieces that they computed; `seconds` are set."""
        total = accelerator.reduce(self.loss)  # each process held its share of every step's mean
        everywhere = int(accelerator.reduce(torch.tensor(self.pieces, device=accelerator.device)))
        first, last = self.rates or (0.0, 0.0)
        return Epoch(
            epoch=self.number,
            steps=self.steps,
            train_loss=total.item() / self.steps,
            first_learning_rate=first,
            last_learning_rate=last,
            train_seconds=self.seconds,
            tweets_per_second=self.tweets / self.seconds,
        ), everywhere


@dataclass(kw_only=True)
class Training:
    """The parts of a training as Accelerate prepared them, and how far it has come.

    `micro_batches` is the number of parts of a batch now; `wake` sets the random states that a saved state held, once,
    when everything that draws before the next step has drawn.
    """

    model: nn.Module
    optimizer: AcceleratedOptimizer
    schedule: LRScheduler
    accelerator: Accelerator
    steps_an_epoch: int
    epochs: int
    micro_batches: int
    so_far: EpochSoFar
    results: list[EpochResult] = field(default_factory=list)
    wake: Callable[[], None] | None = None

    @property
    def step(self) -> int:
        """Optimizer steps taken, over all epochs."""
        return (self.so_far.number - 1) * self.steps_an_epoch + self.so_far.steps

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.epochs * self.steps_an_epoch


def refuse_divergence(step: int, epoch: int) -> None:
    """Raise TrainingDivergedError for a step of an epoch, both from 1 on; 0 is none."""
    if step:
        raise TrainingDivergedError(
            f"the loss is not finite in epoch {epoch}, step {step}: nothing of this run was recorded",
            "Lower the learning rate, or try --precision fp32; other runs' records are untouched.",
            epoch=epoch,
            step=step,
        )
