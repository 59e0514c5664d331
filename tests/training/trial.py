"""A training in tiny shapes that can be cut off, asked to stop and resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from transformers import PreTrainedModel, set_seed

from repro.assets.loading import load_classifier
from repro.assets.recipes import TINY, Recipe
from repro.sections.context import Context
from repro.training.device import make_accelerator
from repro.training.epochs import EpochResult
from repro.training.loop import fit
from repro.training.progress import Advance, Progress
from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy

SMALL = replace(TINY, batch_size=16)  # 96 rows are six steps an epoch


class Killed(BaseException):
    """The process is gone."""


class DoAt(Progress):
    """Does something at one of the advances of all its bars together, counted from 1."""

    def __init__(self, at: int, do: Callable[[], None]) -> None:
        super().__init__()
        self.at, self.do, self.seen = at, do, 0

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


def accelerator(device: str = "cpu", precision: str = "fp32") -> Accelerator:
    """An Accelerator as a new process would make it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return make_accelerator(device=device, precision=precision)


def fp16(**scaler: Any) -> Accelerator:
    """An Accelerator on the CPU with what one for fp16 has on a GPU: autocast to fp16 and a GradScaler."""
    own = accelerator()
    own.state._mixed_precision = "fp16"
    own.native_amp = True
    own.scaler = torch.amp.GradScaler("cpu", **scaler)
    return own


def without_dropout(folder: Path) -> PreTrainedModel:
    """A checkpoint's classifier that drops nothing."""
    model = load_classifier(folder)
    for layer in (module for module in model.modules() if isinstance(module, nn.Dropout)):
        layer.p = 0.0
    return model


def train(
    context: Context,
    recipe: Recipe = SMALL,
    *,
    seed: int = 7,
    load: Callable[[Path], PreTrainedModel] = load_classifier,
    **options: Any,
) -> tuple[PreTrainedModel, list[EpochResult]]:
    """Train a model of the context, padded and on the CPU in fp32 unless `options` of `fit` say otherwise."""
    options = {"batching": "padded", "accelerator": None, **options}
    options["accelerator"] = options["accelerator"] or accelerator()
    set_seed(seed)
    model, examples = load(context.checkpoint.folder), context.examples
    splits = {name: examples[name] for name in ("train", "validation")}
    results = fit(model, recipe=recipe, seed=seed, **splits, **options)
    return model, list(results)


@dataclass(kw_only=True)
class Trial:
    """Two epochs of six steps in batches of 16, with states in a folder; what it said is in `lines`."""

    context: Context
    folder: Path
    lines: list[str] = field(default_factory=list)
    make: Callable[[], Accelerator] = accelerator

    def elsewhere(self, name: str) -> Trial:
        """The same in another folder."""
        return replace(self, folder=self.folder / name, lines=[])

    def undisturbed(self) -> dict[str, Any]:
        """What the training gives that nothing disturbs."""
        return self.elsewhere("undisturbed").train()[0]

    def train(
        self, *, progress: Progress | None = None, seed: int = 0, **policy: Any
    ) -> tuple[dict[str, Any], Checkpointer]:
        """Train, or resume, and return all that a training gives but its seconds."""
        context, batching, own = self.context, str(self.context.spec.batching), self.make()
        decided_by: dict[str, Any] = {"batching": batching, "seed": seed}
        chosen = CheckpointPolicy(tell=self.lines.append, **policy)
        checkpointer = Checkpointer(self.folder / "unfinished", "finetune, seed 0", decided_by, own, chosen)
        options: dict[str, Any] = {"accelerator": own, "progress": progress, "checkpointer": checkpointer}
        with checkpointer.locked(), checkpointer.interruptible():
            model, results = train(context, SMALL, seed=seed, batching=batching, **options)
        epochs = [
            result.epoch.model_dump(exclude={"train_seconds", "tweets_per_second"})
            | {name: tensor.tolist() for name, tensor in vars(result.validation).items()}
            | {"pieces": result.computed_pieces}
            for result in results
        ]
        return {"epochs": epochs, "weights": {n: p.tolist() for n, p in model.named_parameters()}}, checkpointer
