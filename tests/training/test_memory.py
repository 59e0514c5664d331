"""Memory that runs out is one error that names --micro-batches; other errors stay what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import DistilBertForSequenceClassification as Classifier

from repro.errors import OutOfMemoryError
from repro.sections.context import Context
from repro.training.memory import report_out_of_memory
from tests.running import measure

SHORT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", SHORT_OF_MEMORY)
def test_a_step_without_memory_names_the_step_and_micro_batches(
    error: BaseException, tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Classifier.forward

    def starved(self: Any, *arguments: Any, **named: Any) -> Any:
        if self.training and len(named["labels"]) > 8:
            raise error
        return forward(self, *arguments, **named)

    monkeypatch.setattr(Classifier, "forward", starved)
    context = replace(tiny_context, recipe=replace(tiny_context.recipe, batch_size=16))
    with pytest.raises(OutOfMemoryError, match=r"training step 1: out of memory\n.*--micro-batches 2") as caught:
        measure("finetune", context)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes differ"), ValueError("out of memory")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), report_out_of_memory("a step"):
        raise error
