"""Faults that are planted inside a run: a loss that is NaN, no memory, another corpus."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from transformers import DistilBertForSequenceClassification as Classifier

from repro.assets.corpus import load_corpus, read_rows
from tests.faults.launch import Plant


def failing_from(step: int, *, memory: bool) -> Plant:
    """Let training forwards run out of memory from a step on, counted from 1, or the loss of that one step be NaN."""

    def plant() -> None:
        original, count = Classifier.forward, 0

        @wraps(original)
        def forward(self: Any, *arguments: Any, **named: Any) -> Any:
            nonlocal count
            outputs = original(self, *arguments, **named)
            if self.training and "labels" in named:
                count += 1
                if memory and count >= step:
                    raise torch.OutOfMemoryError("planted: no memory")
                if count == step:
                    outputs.loss = outputs.loss * float("nan")
            return outputs

        Classifier.forward = forward  # type: ignore[method-assign]

    return plant


def folder_passes_as(corpus: Any) -> None:
    """Let the suite expect a folder to hold `corpus` (a CorpusStamp) instead of the tweets."""
    for function in (load_corpus, read_rows):
        function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), "expected": corpus}
