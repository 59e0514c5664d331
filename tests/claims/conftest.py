"""Fine-tuning records that pass the gates: with the steps and losses that a fresh run of the recipe has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repro.records.schema import Epoch, RunRecord

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def make_record(make_record: MakeRecord) -> MakeRecord:
    """Make a record as elsewhere; one of finetune has steps and epochs unless they are given."""

    def make(experiment: str = "finetune", **parts: Any) -> RunRecord:
        if experiment == "finetune":
            parts["facts"] = {"steps_per_epoch": 250, "steps": 500, **parts.get("facts", {})}
            parts.setdefault("epochs", [an_epoch(1, train_loss=0.83), an_epoch(2, train_loss=0.25)])
        return make_record(experiment, **parts)

    return make


def an_epoch(epoch: int, *, train_loss: float) -> Epoch:
    """Return one epoch as the seminar's recipe runs it, with a loss of your choice."""
    first = 2e-5 * (3 - epoch) / 2
    return Epoch(
        epoch=epoch, steps=250, train_loss=train_loss, first_learning_rate=first, last_learning_rate=first - 1e-5,
        train_seconds=100.0, tweets_per_second=160.0,
    )  # fmt: skip
