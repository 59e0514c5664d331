"""The Accelerate loop: the Trainer's mathematics for the seminar's recipe, in the open.

AdamW without decay on biases and LayerNorm, linear decay of the learning rate, gradient norm clipped at 1,
shuffling from the seed, evaluation after every epoch. With `padded` batches the parameters are those of
transformers' Trainer bit for bit (a test holds it).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import SeedableRandomSampler
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, get_linear_schedule_with_warmup, set_seed
from transformers.trainer_pt_utils import get_parameter_names

from repro.assets.recipes import Recipe
from repro.errors import UsageError
from repro.training import progress
from repro.training.data import ON_GPU, Batch, Examples, batcher, to_device
from repro.training.device import keep_freed_memory, process_seed, report_out_of_memory
from repro.training.encoder import enable_packing
from repro.training.epochs import EpochResult, EpochTotals, Training
from repro.training.graphs import GraphedPass, Pass
from repro.training.predict import predict_rows, share_of
from repro.training.resume.checkpointer import Checkpointer


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
    checkpointer: Checkpointer | None = None,
) -> Iterator[EpochResult]:
    """Fine-tune `model` in place and yield one EpochResult an epoch.

    A step takes `recipe.batch_size` rows over all processes, each its share in `micro_batches` parts, whose gradients
    add up to the whole batch's; each process draws dropout for itself. A `checkpointer` restores the state that it has
    read, and the epochs before it are yielded first: resumed, a training ends as it would have without, on a CPU bit
    for bit. TrainingDivergedError names the epoch and step of the first loss that is not finite.
    """
    set_seed(seed)
    if accelerator.process_index:  # else two rows at the same place of two shares would get one mask of dropout
        torch.manual_seed(process_seed(seed, accelerator.process_index))
    if batching == "packed":
        enable_packing(model)
    on_gpu = accelerator.device.type == "cuda"
    graphs = on_gpu and batching == "packed" and micro_batches == accelerator.num_processes == 1
    make_batch = batcher(train.tokens, batching, **(ON_GPU if on_gpu else {}))
    sampler, loader = row_numbers(len(train), recipe.batch_size, seed)
    training = _prepare(model, recipe, accelerator, steps_per_epoch=len(loader))
    prepared, optimizer, schedule = training.model, training.optimizer, training.schedule
    run: Pass = partial(_forward_and_backward, prepared, accelerator)
    run = GraphedPass(run, prepared) if graphs else run
    if checkpointer is not None:
        checkpointer.restore(training)
    yield from list(training.results)

    for epoch in range(training.totals.epoch, recipe.epochs + 1):
        totals = training.totals
        sampler.set_epoch(epoch - 1)
        with progress.bar(f"epoch {epoch}/{recipe.epochs}", len(train)) as advance:
            prepared.train()
            batches = iter(loader)
            for rows in islice(batches, totals.steps):  # those of a restored state
                advance(len(rows), None)
            training.set_random_states()  # all that an epoch draws before its steps has been drawn
            start = time.perf_counter() - totals.seconds
            for rows in batches:
                rate = float(schedule.get_last_lr()[0])
                with report_out_of_memory(f"training step {training.step + 1}"):
                    loss, pieces = _backward(run, prepared, rows, train, make_batch, accelerator, micro_batches)
                    accelerator.clip_grad_norm_(prepared.parameters(), recipe.max_grad_norm)
                    optimizer.step()
                if not optimizer.step_was_skipped:  # as fp16 does where a gradient overflows
                    schedule.step()
                optimizer.zero_grad()
                totals.add(loss, pieces=pieces, tweets=len(rows), rate=rate, scaler=accelerator.scaler)
                due = checkpointer is not None and checkpointer.is_due(training)
                if due or training.epoch_ends:
                    totals.refuse_divergence()  # this waits for the device
                totals.seconds = time.perf_counter() - start
                if due and checkpointer is not None:
                    checkpointer.save(training)
                    start = time.perf_counter() - totals.seconds  # saving is not the epoch's time
                advance(len(rows), loss)
        result = _evaluate(training, validation, batch_size=recipe.batch_size, batching=batching)
        if checkpointer is not None:
            checkpointer.leave_if_asked(training)
        training.results.append(result)
        training.totals = EpochTotals(epoch=epoch + 1)
        training.set_random_states = lambda: None
        yield result


def row_numbers(rows: int, batch_size: int, seed: int) -> tuple[SeedableRandomSampler, DataLoader[Tensor]]:
    """Return a loader of the batches' row numbers (B,), and its sampler, which shuffles them by epoch."""
    numbers: Any = range(rows)  # a map-style dataset
    sampler = SeedableRandomSampler(numbers, data_seed=seed)
    return sampler, DataLoader(numbers, batch_size=batch_size, sampler=sampler, collate_fn=torch.tensor)


def _prepare(model: PreTrainedModel, recipe: Recipe, accelerator: Accelerator, *, steps_per_epoch: int) -> Training:
    """Give the model and its optimizer to Accelerate: a training that has taken no step."""
    keep_freed_memory()
    optimizer, steps = make_optimizer(model.to(accelerator.device), recipe), steps_per_epoch * recipe.epochs
    schedule = get_linear_schedule_with_warmup(optimizer, recipe.warmup_steps, steps)
    model, optimizer = accelerator.prepare(model, optimizer)
    return Training(
        model=model, optimizer=optimizer, schedule=schedule, accelerator=accelerator, steps=steps,
        steps_per_epoch=steps_per_epoch, totals=EpochTotals(epoch=1),
    )  # fmt: skip


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return the Trainer's AdamW in its two groups: no weight decay on biases and LayerNorm weights."""
    decayed = set(get_parameter_names(model, [nn.LayerNorm], ["bias"]))
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in model.named_parameters() if (name in decayed) is decay], "weight_decay": weight}
        for decay, weight in ((True, recipe.weight_decay), (False, 0.0))
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def _forward_and_backward(model: nn.Module, accelerator: Accelerator, batch: Batch, weight: float) -> Tensor:
    """Add the gradients of `weight` times the mean loss of a batch; return that product, a scalar."""
    loss: Tensor = model(**batch).loss * weight
    accelerator.backward(loss * accelerator.num_processes)  # the mean over processes takes it back
    return loss.detach()


def _backward(
    run: Pass,
    model: nn.Module,
    rows: Tensor,
    train: Examples,
    make_batch: Callable[[Tensor], Batch],
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
        batch = to_device(make_batch(part) | {"labels": train.labels[part]}, accelerator.device)
        with nullcontext() if i == len(parts) - 1 else accelerator.no_sync(model):
            total += run(batch, min(len(part), len(share)) / len(rows))
        pieces += batch["input_ids"].numel() if len(share) else 0
    return total, pieces


def _evaluate(training: Training, validation: Examples, **options: Any) -> EpochResult:
    """Return the figures of the epoch whose steps are taken, with the validation outputs after it."""
    figures, pieces = training.totals.figures(training.accelerator)
    start = time.perf_counter()
    outputs = predict_rows(training.model, validation, accelerator=training.accelerator, **options)
    training.totals.refuse_divergence(outputs.losses)
    seconds = time.perf_counter() - start
    return EpochResult(epoch=figures, validation=outputs, evaluate_seconds=seconds, computed_pieces=pieces)


def check_micro_batches(micro_batches: int, batch_size: int) -> None:
    """Raise UsageError unless the number of parts divides the batch."""
    if micro_batches < 1 or batch_size % micro_batches:
        raise UsageError(
            f"--micro-batches {micro_batches}: expected a divisor of the global batch of {batch_size}",
            "Use 1, 2, 4, 8, …: the recipe's batch stays whole, only its parts get smaller.",
        )
