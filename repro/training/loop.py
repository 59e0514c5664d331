"""The Accelerate loop: the Trainer's mathematics for the seminar's recipe, in the open.

AdamW without decay on biases and LayerNorm, linear decay of the learning rate, gradient norm clipped at 1,
shuffling from the seed, evaluation after every epoch. With `padded` batches the parameters are those of
transformers' Trainer bit for bit (a test holds it).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import SeedableRandomSampler
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, get_linear_schedule_with_warmup, set_seed

from repro.assets.recipes import Recipe
from repro.errors import DeviceError, UsageError
from repro.training.batches import GROUPS, Batch, Examples, batcher
from repro.training.encoder import enable_packing
from repro.training.epochs import EpochResult, EpochSoFar, Training, refuse_divergence
from repro.training.memory import keep_freed_memory
from repro.training.optimizer import make_optimizer
from repro.training.predict import predict_rows, share_of, to_device
from repro.training.processes import check_processes, find_place, wait_time, watched
from repro.training.progress import Advance, Progress
from repro.training.randomness import process_seed
from repro.training.resume.keeper import Keeper
from repro.training.short_memory import short_memory_told, within_memory

CHECK_STEPS = 50  # how often the host asks the device whether a loss was not finite


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


def leave_out_cudnn(device: str) -> None:
    """Keep cuDNN's attention out on a GPU: it makes a plan for every new shape of (texts, longest), up to a second."""
    if device == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def make_accelerator(*, device: str, precision: str) -> Accelerator:
    """Return an Accelerator for `cpu` or `cuda` in fp32 or bf16 autocast."""
    together = [InitProcessGroupKwargs(timeout=wait_time())]
    precisions = {"fp32": "no", "bf16": "bf16"}
    leave_out_cudnn(device)
    place = find_place()
    with watched(place.count if place else 1):  # they meet here
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
    keeper: Keeper | None = None,
) -> Iterator[EpochResult]:
    """Fine-tune `model` in place and yield one EpochResult an epoch.

    A `keeper` saves states on the way and brings the training to one that it has found; the epochs that were finished
    then come first. Interrupted and gone on with, a training ends as it would have without: on a CPU bit for bit.

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
        torch.manual_seed(process_seed(seed, accelerator.process_index))
    on_gpu = accelerator.device.type == "cuda"
    if not on_gpu:
        keep_freed_memory()
    groups = 1 if on_gpu else GROUPS  # on a GPU a launch costs more than padding
    make_batch = batcher(train.tokens, batching, groups=groups)
    numbers: Any = range(len(train))  # a map-style dataset of row numbers
    sampler = SeedableRandomSampler(numbers, data_seed=seed)
    loader = DataLoader(numbers, batch_size=recipe.batch_size, sampler=sampler, collate_fn=torch.tensor)
    training = _prepare(model, recipe, accelerator, steps_an_epoch=len(loader), micro_batches=micro_batches)
    if keeper is not None:
        keeper.restore(training)
    yield from list(training.results)

    def take_step(rows: Tensor) -> tuple[Tensor, int]:
        return _take_step(training, rows, train, make_batch, max_grad_norm=recipe.max_grad_norm)

    for number in range(training.so_far.number, recipe.epochs + 1):
        sampler.set_epoch(number - 1)
        with (
            progress.bar(f"epoch {number}/{recipe.epochs}", len(train)) as advance,
            keeper.stepping() if keeper else nullcontext(),
        ):
            _train_epoch(training, loader, take_step, advance, keeper)
        result = _finish_epoch(training, validation, batch_size=recipe.batch_size, batching=batching, progress=progress)
        training.results.append(result)
        training.so_far = EpochSoFar.begin(number + 1, accelerator.device)
        yield result


def _prepare(
    model: PreTrainedModel, recipe: Recipe, accelerator: Accelerator, *, steps_an_epoch: int, micro_batches: int
) -> Training:
    """Give the model, its optimizer and its schedule to Accelerate: a training that has taken no step."""
    model.to(accelerator.device)
    optimizer = make_optimizer(model, recipe)
    schedule = get_linear_schedule_with_warmup(optimizer, recipe.warmup_steps, steps_an_epoch * recipe.epochs)
    model, optimizer = accelerator.prepare(model, optimizer)
    return Training(
        model=model, optimizer=optimizer, schedule=schedule, accelerator=accelerator, steps_an_epoch=steps_an_epoch,
        epochs=recipe.epochs, micro_batches=micro_batches, so_far=EpochSoFar.begin(1, accelerator.device),
    )  # fmt: skip


def _take_step(
    training: Training,
    rows: Tensor,
    train: Examples,
    make_batch: Callable[[Tensor], Batch],
    *,
    max_grad_norm: float,
) -> tuple[Tensor, int]:
    """Take one optimizer step on `rows` (B,); return what _backward does."""
    model, accelerator = training.model, training.accelerator

    def attempt(parts: int) -> tuple[Tensor, int]:
        found = _backward(model, rows, train, make_batch, accelerator=accelerator, micro_batches=parts)
        accelerator.clip_grad_norm_(model.parameters(), max_grad_norm)
        return found

    found = within_memory(training, len(rows), attempt)
    with short_memory_told("the optimizer's state"):
        training.optimizer.step()
    training.optimizer.zero_grad()
    return found


def _finish_epoch(
    training: Training, validation: Examples, *, batch_size: int, batching: str, progress: Progress
) -> EpochResult:
    """Return the figures of the epoch whose steps are taken, with the validation outputs after it."""
    accelerator = training.accelerator
    epoch, computed = training.so_far.finish(accelerator)
    begun = time.perf_counter()
    outputs = predict_rows(
        training.model, validation, batch_size=batch_size, accelerator=accelerator, batching=batching,
        progress=progress,
    )  # fmt: skip
    if not outputs.losses.isfinite().all():
        refuse_divergence(epoch.steps, epoch.epoch)
    return EpochResult(
        epoch=epoch, validation=outputs, evaluate_seconds=time.perf_counter() - begun, computed_pieces=computed,
        doublings=tuple(training.so_far.doublings),
    )  # fmt: skip


def _train_epoch(
    training: Training,
    loader: DataLoader[int],
    take_step: Callable[[Tensor], tuple[Tensor, int]],
    advance: Advance,
    keeper: Keeper | None,
) -> None:
    """Take a step for every batch of row numbers that the epoch has not seen, and gather what it comes to.

    Losses add up on the device; the host looks at them every CHECK_STEPS steps, before a state is saved, and where the
    bar is redrawn. The time of saving is not the epoch's.
    """
    training.model.train()
    so_far, schedule = training.so_far, training.schedule
    batches = iter(loader)
    for rows in islice(batches, so_far.steps):
        advance(len(rows), None)
    if training.wake is not None:  # all that an epoch draws before its steps has been drawn
        training.wake()
        training.wake = None
    begun = time.perf_counter() - so_far.seconds
    for rows in batches:
        rate = float(schedule.get_last_lr()[0])
        loss, computed = take_step(rows)
        schedule.step()
        so_far.add(loss, pieces=computed, tweets=len(rows), rate=rate)
        last = so_far.steps == training.steps_an_epoch
        ends = {"epoch_ends": last, "run_ends": training.step == training.steps}
        saved = keeper is not None and keeper.wants(training.step, **ends)
        if saved or last or so_far.steps % CHECK_STEPS == 0:
            so_far.refuse_divergence()  # this waits for the device
        so_far.seconds = time.perf_counter() - begun
        if saved and keeper is not None:
            keeper.save(training)
            begun = time.perf_counter() - so_far.seconds
        advance(len(rows), loss)


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
        labels = train.labels[part].to(accelerator.device, non_blocking=True)
        with nullcontext() if i == len(parts) - 1 else accelerator.no_sync(model):
            loss = model(**batch, labels=labels).loss * (min(len(part), len(share)) / len(rows))
            accelerator.backward(loss * accelerator.num_processes)  # the mean over processes takes it back
        total += loss.detach()
        pieces += batch["input_ids"].numel() if len(share) else 0
    return total, pieces


def check_micro_batches(micro_batches: int, batch_size: int) -> int:
    """Return the number of parts of a batch; UsageError unless it divides the batch."""
    if micro_batches < 1 or batch_size % micro_batches:
        raise UsageError(
            f"--micro-batches {micro_batches}: expected a divisor of the global batch of {batch_size}",
            "Use 1, 2, 4, 8, …: the recipe's batch stays whole, only its parts get smaller.",
        )
    return micro_batches
