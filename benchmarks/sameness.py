"""The same training? Ours against transformers' Trainer, and packed batches against padded ones.

Tests assert what is measured here and `test_sameness.py` puts it on record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import Trainer, TrainingArguments, set_seed

from repro.assets.recipes import Recipe
from repro.training.data import Examples
from repro.training.device import make_accelerator
from repro.training.encoder import enable_packing
from repro.training.loop import fit
from repro.training.packing import pack_rows, pad_rows

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


@dataclass(frozen=True, kw_only=True)
class PackedSameness:
    """How far packed batches are from padded ones: largest difference of logits, largest relative one of gradients."""

    texts: int
    logits: float
    gradients: float


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
    recipe = replace(recipe, epochs=1)
    theirs, theirs_seen = _train_theirs(make_model, examples, tokenizer, recipe, folder, seed)
    ours, ours_seen = _train_ours(make_model, examples, recipe, seed)
    pairs = [(a.detach(), b.detach()) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)]
    return TrainerSameness(
        steps=len(ours_seen.losses),
        equal_parameters=all(torch.equal(a, b) for a, b in pairs),
        parameters=max(float((a - b).abs().max()) for a, b in pairs),
        losses=max(abs(a - b) for a, b in zip(ours_seen.losses, theirs_seen.losses, strict=True)),
        learning_rates=max(abs(a - b) for a, b in zip(ours_seen.rates, theirs_seen.rates, strict=True)),
        same_rows=ours_seen.rows == theirs_seen.rows,
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

        def note_rate(optimizer: Any, args: Any, kwargs: Any) -> None:
            del args, kwargs
            self.rates.append(float(optimizer.param_groups[0]["lr"]))

        hooks = (
            model.register_forward_hook(note, with_kwargs=True),
            register_optimizer_step_pre_hook(note_rate),
        )
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _train_theirs(
    make_model: Callable[[], PreTrainedModel], examples: Examples, tokenizer: PreTrainedTokenizerBase, recipe: Recipe,
    folder: Path, seed: int,
) -> tuple[PreTrainedModel, _Seen]:  # fmt: skip
    width = int(examples.tokens.lengths.max())
    columns = pad_rows(examples.tokens, torch.arange(len(examples)), width=width)
    rows = {name: found.tolist() for name, found in columns.items()}
    set_seed(seed)
    model, seen = make_model(), _Seen()
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=1, learning_rate=recipe.learning_rate,
        per_device_train_batch_size=recipe.batch_size, weight_decay=recipe.weight_decay, eval_strategy="no",
        save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True, log_level="error",
        use_cpu=True, dataloader_pin_memory=False, seed=seed,
    )  # fmt: skip
    dataset = Dataset.from_dict({**rows, "label": examples.labels.tolist()})
    with seen.watch(model):
        Trainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer).train()
    return model, seen


def _train_ours(
    make_model: Callable[[], PreTrainedModel], examples: Examples, recipe: Recipe, seed: int
) -> tuple[PreTrainedModel, _Seen]:
    set_seed(seed)
    model, seen = make_model(), _Seen()
    options: dict[str, Any] = {"accelerator": make_accelerator(device="cpu", precision="fp32"), "batching": "padded"}
    with seen.watch(model):
        list(fit(model, recipe=recipe, train=examples, validation=examples, seed=seed, **options))
    return model, seen


def _forward(
    model: PreTrainedModel, batch: dict[str, Any], labels: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    outputs = model(**batch, labels=labels)
    outputs.loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return outputs.logits.detach(), gradients
