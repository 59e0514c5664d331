"""A training in tiny shapes that can be cut off, asked to stop and resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from transformers import PreTrainedModel, set_seed

from repro.assets.checkpoints import file_sha256
from repro.assets.loading import load_classifier
from repro.assets.recipes import TINY, Recipe
from repro.records.schema import RunRecord
from repro.sections import section_named
from repro.sections.context import Context
from repro.sections.models import model_folder
from repro.sections.runner import run_sections
from repro.spec import RunSpec
from repro.training import progress as bars
from repro.training.device import make_accelerator
from repro.training.epochs import EpochResult
from repro.training.loop import fit
from repro.training.progress import Advance
from repro.training.resume.checkpointer import CheckpointPolicy
from tests.running import result_of

SMALL = replace(TINY, batch_size=16)  # 96 rows are six steps an epoch
UNDISTURBED: dict[RunSpec, dict[str, Any]] = {}


class Killed(BaseException):
    """The process is gone."""


class DoAt:
    """Does something at one of the advances of all bars together, counted from 1, in whose place it stands."""

    def __init__(self, at: int, do: Callable[[], None]) -> None:
        self.at, self.do, self.seen = at, do, 0

    @contextmanager
    def __call__(self, what: str, total: int) -> Iterator[Advance]:
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
    splits: dict[str, Any] = {name: examples[name] for name in ("train", "validation")}
    results = fit(model, recipe=recipe, seed=seed, **splits, **options)
    return model, list(results)


@dataclass(kw_only=True)
class Runs:
    """Fine-tuning tiny in batches of 16 on 96 rows: six steps an epoch, two epochs; `lines` are what it said."""

    context: Context
    folder: Path
    lines: list[str] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def model(self) -> Path:
        return model_folder(self.context, 0)

    def states(self) -> Sequence[Path]:
        return sorted(self.results.glob("unfinished/*/step-*"))

    def elsewhere(self, name: str, **changes: Any) -> Runs:
        """The same in another folder, its spec changed."""
        context = self.context.changed(**changes) if changes else self.context
        folder = self.folder / name
        return Runs(context=replace(context, save=folder / "models"), folder=folder)

    def skips(self) -> bool:
        """Whether it was completed before."""
        return self._run(self.context) == []

    def finetune(self, context: Context | None = None, **options: Any) -> RunRecord:
        ((record, _),) = self._run(context or self.context, **options)
        return record

    def _run(self, context: Context, progress: DoAt | None = None, **options: Any) -> list[tuple[RunRecord, Path]]:
        """Run it as a new process would."""
        AcceleratorState._reset_state(reset_partial_state=True)
        policy = CheckpointPolicy(tell=self.lines.append, tell_done=self.lines.append, **{"save_every": 4, **options})
        with patch.object(bars, "bar", progress or bars.bar):
            return list(run_sections([section_named("finetune")], replace(context), [0], self.results, policy=policy))

    def cut_off(self, context: Context | None = None, *, at: int = 5, **options: Any) -> None:
        """Run it until an advance of its bars, by default step 5, after a state of step 4."""
        with pytest.raises(Killed):
            self.finetune(context, progress=cut_off(at), **options)

    def whole(self, record: RunRecord) -> dict[str, Any]:
        """All that decides a claim, and the saved model, file for file."""
        return {**result_of(record), "files": {file.name: file_sha256(file) for file in sorted(self.model.iterdir())}}

    def undisturbed(self) -> dict[str, Any]:
        """What the run gives that nothing disturbs, trained once a session."""
        if self.context.spec not in UNDISTURBED:
            elsewhere = self.elsewhere("undisturbed")
            UNDISTURBED[self.context.spec] = elsewhere.whole(elsewhere.finetune())
        return UNDISTURBED[self.context.spec]
