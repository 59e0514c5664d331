"""Memory that runs short: the step again in smaller parts, the batch whole, the record told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import DistilBertForSequenceClassification as Classifier

from repro.errors import MemoryShortError
from repro.records.record import RunRecord
from repro.sections.context import Context
from repro.training.short_memory import is_short_memory
from tests.running import measure


def finetune(context: Context, **changes: Any) -> RunRecord:
    context = replace(context, recipe=replace(context.recipe, batch_size=16), **changes)
    return measure("finetune", context)


def run_short(monkeypatch: pytest.MonkeyPatch, *, above: int, error: BaseException, once_at: int = 0) -> None:
    """Let a training forward of more rows than `above` fail, at every one or at the n-th only."""
    real, seen = Classifier.forward, 0

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal seen
        seen += self.training
        found = real(self, *arguments, **named)  # it has drawn its dropout before it fails
        if self.training and len(named["labels"]) > above and once_at in (0, seen):
            raise error
        return found

    monkeypatch.setattr(Classifier, "forward", forward)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_a_run_short_of_memory_ends_as_one_that_was_asked_for_those_parts(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    asked = finetune(tiny_context, micro_batches=4)
    run_short(monkeypatch, above=4, error=error)
    short = finetune(tiny_context)
    assert short.facts["out_of_memory"] == [{"step": 1, "micro_batches": 2}, {"step": 1, "micro_batches": 4}]
    assert "out_of_memory" not in asked.facts
    assert [e.train_loss for e in short.epochs] == [e.train_loss for e in asked.epochs]
    assert short.rows == asked.rows


def test_the_step_at_which_memory_ran_short_stands_in_the_record(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_short(monkeypatch, above=8, error=MemoryError(), once_at=9)
    assert finetune(tiny_context).facts["out_of_memory"] == [{"step": 9, "micro_batches": 2}]


def test_memory_that_does_not_suffice_for_one_row_ends_with_a_remedy(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_short(monkeypatch, above=0, error=MemoryError())
    with pytest.raises(MemoryShortError, match="step 1 in 16 parts of the batch\nFree memory") as caught:
        finetune(tiny_context)
    assert caught.value.exit_code == 2


def test_other_errors_are_not_taken_for_short_memory() -> None:
    assert not is_short_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_short_memory(ValueError("out of memory"))
