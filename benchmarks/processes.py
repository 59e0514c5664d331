"""The same training on several processes? One case, trained by every process of a launch; the tests compare them.

It is trained without dropout: each process draws masks of its own, so with dropout on the losses agree as those of two
seeds do and no closer.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import set_seed

from repro.assets.loading import load_classifier
from repro.sections.runner import open_context
from repro.spec import Batching, RunSpec
from repro.training.loop import fit
from repro.training.predict import predict_rows
from repro.training.processes import watched

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A training of the tiny recipe on the first `limit` rows of the rehearsal corpus."""

    batching: str
    limit: int
    batch_size: int
    micro_batches: int = 1

    @property
    def name(self) -> str:
        """What the case is told from others by."""
        return f"tiny, {self.batching}, dropout off"


def train(case: Case) -> dict[str, Any]:
    """Train the case and return what every process holds of it; `few` is the loss of one row, scored after it."""
    spec = RunSpec(recipe="tiny", corpus="rehearsal", batching=Batching(case.batching), limit=case.limit)
    context = open_context(spec)
    recipe = replace(context.recipe, batch_size=case.batch_size, epochs=2)
    set_seed(3)
    model = load_classifier(context.checkpoint.folder)
    for layer in (module for module in model.modules() if isinstance(module, nn.Dropout)):
        layer.p = 0.0
    accelerator, train, validation = context.accelerator, context.examples["train"], context.examples["validation"]
    shared: dict[str, Any] = {"accelerator": accelerator, "batching": case.batching}
    one_row = replace(
        validation,
        tokens=replace(validation.tokens, offsets=validation.tokens.offsets[:2]),
        labels=validation.labels[:1],
    )
    settings = {"micro_batches": case.micro_batches, "seed": 3, **shared}
    with watched(accelerator.num_processes):
        results = list(fit(model, recipe=recipe, train=train, validation=validation, **settings))
        few = predict_rows(model, one_row, batch_size=case.batch_size, **shared)
    accelerator.free_memory()
    return {
        "processes": accelerator.num_processes,
        "losses": [loss for result in results for loss in (result.epoch.train_loss, result.validation.mean_loss)],
        "row_losses": results[-1].validation.losses.tolist(),
        "predictions": results[-1].validation.predictions,
        "few": few.losses.tolist(),
    }


@contextmanager
def killed_before_step(step: int | None) -> Iterator[None]:
    """Kill this process within the block before an optimizer step, counted from 1."""
    taken = 0

    def count(*_: Any) -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)

    hook = register_optimizer_step_pre_hook(count)
    yield
    hook.remove()


def main(cases: Sequence[Case], output: Path, kill_before: int | None) -> None:
    """Train every case; the main process writes what it holds, by the case's name."""
    from accelerate import PartialState

    with killed_before_step(kill_before):
        trained = {case.name: train(case) for case in cases}
    if PartialState().is_main_process:
        output.write_text(json.dumps(trained), encoding="utf-8")
    PartialState().wait_for_everyone()
    PartialState().destroy_process_group()
