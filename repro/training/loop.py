"""The Accelerate loop: the Trainer's mathematics for the seminar's recipe, in the open.

AdamW without decay on biases and LayerNorm, linear decay of the learning rate, gradient norm clipped at 1,
shuffling from the seed, evaluation after every epoch. With `padded` batches the parameters are those of
transformers' Trainer bit for bit (a test holds it).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import SeedableRandomSampler
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, get_linear_schedule_with_warmup, set_seed

from repro.assets.recipes import Recipe
from repro.errors import DeviceError, TrainingDivergedError, UsageError
from repro.records.record import Epoch
from repro.training.batches import GROUPS, Batch, Examples, batcher
from repro.training.encoder import enable_packing
from repro.training.predict import RowOutputs, predict_rows, share_of, to_device
from repro.training.processes import check_processes, wait_time
from repro.training.progress import Advance, Progress

CHECK_STEPS = 50  # how often the host asks the device whether a loss was not finite


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch: its figures, the validation outputs after it, and the pieces (padding counted) that were computed."""

    epoch: Epoch
    validation: RowOutputs
    evaluate_seconds: float
    computed_pieces: int


def choose_device(wanted: str, precision: str) -> str:
    """Return `cpu` or `cuda` for `auto`, `cpu` or `cuda`; DeviceError where it cannot be used or lacks bf16."""
    device = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"--device cuda: torch {torch.__version__} finds no usable GPU here",
            "Run on a machine with one and a CUDA build of torch, or choose --device cpu.",
        )
    if device == "cuda" and precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise DeviceError(
            f"--precision bf16: {torch.cuda.get_device_name()} has no bf16 arithmetic",
            "Choose --precision fp32.",
        )
    return device


def why_slow(device: str, precision: str) -> str | None:
    """Return what to tell where bf16 is right but slower than fp32: on a processor without such arithmetic."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # torch has it from 2.10 on
    capabilities: dict[str, object] = ask() if ask else {}
    if precision != "bf16" or device != "cpu" or not capabilities:
        return None
    if any("bf16" in name and there for name, there in capabilities.items()):
        return None
    return "bf16: this processor has no such arithmetic and imitates it, slower than --precision fp32, never wrong"


def make_accelerator(*, device: str, precision: str) -> Accelerator:
    """Return an Accelerator for `cpu` or `cuda` in fp32 or bf16 autocast."""
    together = [InitProcessGroupKwargs(timeout=wait_time())]
    precisions = {"fp32": "no", "bf16": "bf16"}
    return Accelerator(cpu=device == "cpu", mixed_precision=precisions[precision], kwargs_handlers=together)


def fit(
    model: PreTrainedModel,
    *,
    recipe: Recipe,
    train: Examples,
    validation: Examples,
    seed: int,
    accelerator: Accelerator,
    batching: str = "packed",
    micro_batches: int = 1,
    progress: Progress | None = None,
) -> Iterator[EpochResult]:
    """Fine-tune `model` in place and yield one EpochResult an epoch.

    A step takes `recipe.batch_size` rows over all processes, each its share in `micro_batches` parts, whose
    gradients add up to the whole batch's: the mathematics is the same on any number of processes, but for dropout,
    whose masks each process draws for itself.
    TrainingDivergedError names the epoch and step of the first loss that is not finite.
    """
    progress = progress or Progress()
    if batching == "packed":
        enable_packing(model)
    check_processes(recipe.batch_size, accelerator.num_processes)
    set_seed(seed)  # dropout follows from it, and the order of rows
    if accelerator.process_index:  # else two rows that lie alike in two shares would get one mask
        torch.manual_seed(seed + (accelerator.process_index << 32))
    model.to(accelerator.device)
    numbers: Any = range(len(train))  # a map-style dataset of row numbers
    sampler = SeedableRandomSampler(numbers, data_seed=seed)
    loader = DataLoader(numbers, batch_size=recipe.batch_size, sampler=sampler, collate_fn=torch.tensor)
    optimizer = make_optimizer(model, recipe)
    schedule = get_linear_schedule_with_warmup(optimizer, recipe.warmup_steps, len(loader) * recipe.epochs)
    model, optimizer = accelerator.prepare(model, optimizer)
    on_gpu = accelerator.device.type == "cuda"
    make_batch = batcher(
        train.tokens, batching, groups=1 if on_gpu else GROUPS
    )  # there a launch costs more than padding

    def take_step(rows: Tensor) -> tuple[Tensor, int]:
        found = _backward(model, rows, train, make_batch, accelerator=accelerator, micro_batches=micro_batches)
        accelerator.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return found

    for number in range(1, recipe.epochs + 1):
        model.train()
        sampler.set_epoch(number - 1)
        with progress.bar(f"epoch {number}/{recipe.epochs}", len(train)) as advance:
            epoch, computed = _train_epoch(number, loader, schedule, take_step, advance, accelerator=accelerator)
        begun = time.perf_counter()
        outputs = predict_rows(
            model, validation, batch_size=recipe.batch_size, accelerator=accelerator, batching=batching,
            progress=progress,
        )  # fmt: skip
        if not outputs.losses.isfinite().all():
            _refuse_divergence(epoch.steps, number)
        seconds = time.perf_counter() - begun
        yield EpochResult(epoch=epoch, validation=outputs, evaluate_seconds=seconds, computed_pieces=computed)


def _train_epoch(
    number: int,
    loader: DataLoader[int],
    schedule: LRScheduler,
    take_step: Callable[[Tensor], tuple[Tensor, int]],
    advance: Advance,
    *,
    accelerator: Accelerator,
) -> tuple[Epoch, int]:
    """Take a step for every batch of row numbers; return the epoch's figures and the pieces computed by all processes.

    Losses add up on the device; the host looks at them every CHECK_STEPS steps and where the bar is redrawn.
    """
    total = torch.zeros((), device=accelerator.device)
    diverged_at = torch.zeros((), dtype=torch.long, device=accelerator.device)
    pieces, steps, tweets = 0, len(loader), 0
    rates = []
    begun = time.perf_counter()
    for step, rows in enumerate(loader, 1):
        rates.append(float(schedule.get_last_lr()[0]))
        loss, computed = take_step(rows)
        schedule.step()
        total += loss
        pieces += computed
        tweets += len(rows)
        diverged_at.copy_(torch.where((diverged_at == 0) & ~loss.isfinite(), step, diverged_at))
        if step % CHECK_STEPS == 0 or step == steps:
            _refuse_divergence(int(diverged_at), number)
        advance(len(rows), loss)
    total = accelerator.reduce(total)  # each process held its share of every step's mean
    everywhere = int(accelerator.reduce(torch.tensor(pieces, device=accelerator.device)))
    seconds = time.perf_counter() - begun  # reading the sum has waited for the device
    return Epoch(
        epoch=number,
        steps=steps,
        train_loss=total.item() / steps,
        first_learning_rate=rates[0],
        last_learning_rate=rates[-1],
        train_seconds=seconds,
        tweets_per_second=tweets / seconds,
    ), everywhere


def _backward(
    model: nn.Module,
    rows: Tensor,
    train: Examples,
    make_batch: Callable[[Tensor], Batch],
    *,
    accelerator: Accelerator,
    micro_batches: int,
) -> tuple[Tensor, int]:
    """Add the gradients of the mean loss over `rows` (B,), of which this process computes its share.

    Returns the share's part of that mean (a scalar) and the pieces computed here. A process whose share is empty, in
    a last batch of few rows, computes one row for nothing: the others wait for its gradients.
    """
    total, pieces = torch.zeros((), device=accelerator.device), 0
    share = share_of(rows, accelerator)
    parts = share.chunk(micro_batches) if len(share) else (rows[:1],)
    for i, part in enumerate(parts):
        batch = to_device(make_batch(part), accelerator)
        labels = train.labels[part].to(accelerator.device)
        with nullcontext() if i == len(parts) - 1 else accelerator.no_sync(model):
            loss = model(**batch, labels=labels).loss * (min(len(part), len(share)) / len(rows))
            accelerator.backward(loss * accelerator.num_processes)  # the mean over processes takes it back
        total += loss.detach()
        pieces += batch["input_ids"].numel() if len(share) else 0
    return total, pieces


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW with the Trainer's two groups: no weight decay on biases and LayerNorm weights."""
    normed = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for part, _ in module.named_parameters()
    }
    decayed = {name: p for name, p in model.named_parameters() if name not in normed and "bias" not in name}
    spared = {name: p for name, p in model.named_parameters() if name not in decayed}
    return torch.optim.AdamW(
        [
            {"params": list(decayed.values()), "weight_decay": recipe.weight_decay},
            {"params": list(spared.values()), "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        fused=True,
    )


def check_micro_batches(micro_batches: int, batch_size: int) -> int:
    """Return the number of parts of a batch; UsageError unless it divides the batch."""
    if micro_batches < 1 or batch_size % micro_batches:
        raise UsageError(
            f"--micro-batches {micro_batches}: expected a divisor of the global batch of {batch_size}",
            "Use 1, 2, 4, 8, …: the recipe's batch stays whole, only its parts get smaller.",
        )
    return micro_batches


def _refuse_divergence(step: int, epoch: int) -> None:
    if step:
        raise TrainingDivergedError(
            f"the loss is not finite in epoch {epoch}, step {step}: nothing of this run was recorded",
            "Lower the learning rate, or try --precision fp32; other runs' records are untouched.",
            epoch=epoch,
            step=step,
        )
