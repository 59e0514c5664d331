"""The same training? Ours against transformers' Trainer, and packed batches against padded ones.

Tests assert what is measured here and `test_speed.py` puts it on record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import set_seed

from benchmarks.peer import as_dataset, trainer
from repro.assets.recipes import Recipe
from repro.training.data import Examples, pack_rows, pad_rows
from repro.training.device import make_accelerator
from repro.training.encoder import enable_packing
from repro.training.epochs import EpochResult
from repro.training.loop import fit

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NO_GRADIENT = 1e-3  # key biases have a gradient of 0 but for rounding: differences are measured against at least this


@dataclass(frozen=True, kw_only=True)
class TrainerSameness:
    """How far our loop ends from the Trainer after `steps`: largest differences of parameters, losses and rates."""

    steps: int
    equal_parameters: bool
    parameters: float
    losses: float
    learning_rates: float
    same_rows: bool


def same_for(steps: int) -> TrainerSameness:
    """The same training to the last bit."""
    return TrainerSameness(steps=steps, equal_parameters=True, parameters=0, losses=0, learning_rates=0, same_rows=True)


@dataclass(frozen=True, kw_only=True)
class PackedSameness:
    """How far packed batches are from padded ones: largest difference of logits, largest relative one of gradients."""

    texts: int
    logits: float
    gradients: float


@dataclass(frozen=True, kw_only=True)
class SeedSameness:
    """How far one seed, trained twice on one device, ends from itself: the largest differences, and the mean loss's."""

    steps: int
    parameters: float
    train_loss: float
    logits: float


def compare_with_trainer(
    make_model: Callable[[], PreTrainedModel],
    examples: Examples,
    tokenizer: PreTrainedTokenizerBase,
    recipe: Recipe,
    folder: Path,
    *,
    seed: int = 7,
) -> TrainerSameness:
    """Train both ways for one epoch of padded batches, fp32, CPU, dropout on, from one seed."""

    def train_theirs(model: PreTrainedModel) -> None:
        dataset = as_dataset(examples, width=int(examples.tokens.lengths.max()))
        trainer(
            model, folder, given={"train_dataset": dataset, "processing_class": tokenizer}, num_train_epochs=1,
            learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay,
            per_device_train_batch_size=recipe.batch_size, seed=seed,
        ).train()  # fmt: skip

    def train_ours(model: PreTrainedModel) -> None:
        accelerator, once = make_accelerator(device="cpu", precision="fp32"), replace(recipe, epochs=1)
        options: dict[str, Any] = {"accelerator": accelerator, "batching": "padded", "seed": seed}
        list(fit(model, recipe=once, train=examples, validation=examples, **options))

    def trained(train: Callable[[PreTrainedModel], None]) -> tuple[PreTrainedModel, _Seen]:
        set_seed(seed)
        model, seen = make_model(), _Seen()
        with seen.watch(model):
            train(model)
        return model, seen

    (theirs, theirs_seen), (ours, ours_seen) = trained(train_theirs), trained(train_ours)
    pairs = [(a.detach(), b.detach()) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)]
    return TrainerSameness(
        steps=len(ours_seen.losses),
        equal_parameters=all(torch.equal(a, b) for a, b in pairs),
        parameters=max(float((a - b).abs().max()) for a, b in pairs),
        losses=max(abs(a - b) for a, b in zip(ours_seen.losses, theirs_seen.losses, strict=True)),
        learning_rates=max(abs(a - b) for a, b in zip(ours_seen.rates, theirs_seen.rates, strict=True)),
        same_rows=ours_seen.rows == theirs_seen.rows,
    )


def compare_with_itself(
    make_model: Callable[[], PreTrainedModel],
    examples: Examples,
    recipe: Recipe,
    *,
    device: str,
    precision: str,
    seed: int = 7,
) -> SeedSameness:
    """Train twice for one epoch of packed batches from one seed: on a GPU, sums may be added in another order."""

    def trained() -> tuple[PreTrainedModel, EpochResult]:
        set_seed(seed)
        model, accelerator = make_model(), make_accelerator(device=device, precision=precision)
        options: dict[str, Any] = {"accelerator": accelerator, "seed": seed}
        [epoch] = fit(model, recipe=replace(recipe, epochs=1), train=examples, validation=examples, **options)
        return model, epoch

    (one, first), (other, second) = trained(), trained()
    return SeedSameness(
        steps=first.epoch.steps,
        parameters=max(float((a - b).abs().max()) for a, b in zip(one.parameters(), other.parameters(), strict=True)),
        train_loss=abs(first.epoch.train_loss - second.epoch.train_loss),
        logits=float((first.validation.logits - second.validation.logits).abs().max()),
    )


def compare_packed_with_padded(model: PreTrainedModel, examples: Examples, rows: torch.Tensor) -> PackedSameness:
    """Run one batch both ways through the model, in its own mode of training or evaluation, and compare."""
    labels = examples.labels[rows]
    padded, padded_gradients = _forward(model, pad_rows(examples.tokens, rows), labels)
    enable_packing(model)
    packed, packed_gradients = _forward(model, pack_rows(examples.tokens, rows), labels)
    if packed.shape != padded.shape or packed_gradients.keys() != padded_gradients.keys():
        raise ValueError("packed batches give logits of another shape, or gradients to other parameters")
    relative = [
        float((packed_gradients[name] - expected).norm()) / max(float(expected.norm()), NO_GRADIENT)
        for name, expected in padded_gradients.items()
    ]
    return PackedSameness(texts=len(rows), logits=float((packed - padded).abs().max()), gradients=max(relative))


class _Seen:
    """Losses, learning rates and rows of every step, as the model and the optimizer themselves see them."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.rows: list[list[list[int]]] = []  # the word pieces of each step's batch

    @contextmanager
    def watch(self, model: PreTrainedModel) -> Iterator[None]:
        def note(module: Any, args: Any, kwargs: Any, outputs: Any) -> None:
            del args
            if module.training:
                self.losses.append(float(outputs.loss.detach()))
                self.rows.append(kwargs["input_ids"].tolist())

        def note_rate(optimizer: Any, *_: Any) -> None:
            self.rates.append(float(optimizer.param_groups[0]["lr"]))

        hooks = model.register_forward_hook(note, with_kwargs=True), register_optimizer_step_pre_hook(note_rate)
        yield
        for hook in hooks:
            hook.remove()


def _forward(
    model: PreTrainedModel, batch: dict[str, Any], labels: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    outputs = model(**batch, labels=labels)
    outputs.loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return outputs.logits.detach(), gradients
