"""A training that is cut off anywhere and gone on with: it ends as it would have without, to the last bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from repro.assets.checkpoints import WEIGHTS, file_sha256
from repro.experiments.context import Context
from repro.experiments.registry import EXPERIMENTS, run_and_record
from repro.experiments.sharing import model_folder
from repro.records.record import RunRecord
from repro.training.keeping import Keeping
from repro.training.progress import Advance, Progress

EVERY_4 = Keeping(save_every=4)
# what the progress bars count: 6 steps of an epoch, 6 batches of its evaluation, the same again, 6 batches of the test
MOMENTS = {
    "before the first save": 2, "in the middle of an epoch": 5, "at an epoch's end": 6, "in an evaluation": 8,
    "at a step that was saved": 14, "after the last step": 18, "in the last evaluation": 20, "in the test": 27,
}  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


class CutOff(Progress):
    """Kills the process that draws it at one of the advances of all its bars together."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.seen = at, 0

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        def advance(done: int, loss: Tensor | None) -> None:
            self.seen += 1
            if self.seen == self.at:
                raise Killed

        yield advance


@pytest.fixture
def context(tiny_context: Context, tmp_path: Path) -> Context:
    """Tiny in batches of 16 on 96 rows: six steps an epoch, two epochs."""
    return replace(tiny_context, recipe=replace(tiny_context.recipe, batch_size=16), save=tmp_path / "models")


def finetune(context: Context, results: Path, keeping: Keeping = EVERY_4, *, seed: int = 0) -> RunRecord | None:
    made = list(run_and_record([EXPERIMENTS["finetune"]], context, [seed], results, keeping=keeping))
    return made[0][0] if made else None


def result_of(record: RunRecord | None, context: Context) -> dict[str, Any]:
    """All that a run found, and the weights it ended with; not its seconds and how many parts it was made in."""
    assert record is not None
    whole = record.model_dump(include={"facts", "scores", "rows", "epochs", "run_key"})
    whole["facts"].pop("resumed_after_steps", None)
    for epoch in whole["epochs"]:
        del epoch["train_seconds"], epoch["tweets_per_second"]
    return {**whole, "weights": file_sha256(model_folder(context, record.settings.seed) / WEIGHTS)}


def undisturbed(context: Context, folder: Path) -> dict[str, Any]:
    elsewhere = replace(context, save=folder / "undisturbed-models")
    return result_of(finetune(elsewhere, folder / "undisturbed"), elsewhere)


@pytest.mark.parametrize("batching", ["packed", "dynamic", "padded"])
def test_cut_off_at_any_moment_a_run_ends_as_it_would_have_without(
    context: Context, tmp_path: Path, batching: str
) -> None:
    context = replace(context, batching=batching)
    expected = undisturbed(context, tmp_path)
    for moment, at in MOMENTS.items():
        results = tmp_path / str(at)
        with pytest.raises(Killed):
            finetune(replace(context, progress=CutOff(at)), results)
        record = finetune(context, results)
        assert result_of(record, context) == expected, moment
        assert not (results / "unfinished").exists(), moment
        shutil.rmtree(context.models)
