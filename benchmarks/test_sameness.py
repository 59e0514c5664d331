"""Is the fast training the same training? The differences, on record; what is timed is the comparison itself."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.lengths import random_examples, tweet_lengths
from benchmarks.sameness import compare_packed_with_padded, compare_with_trainer
from benchmarks.steps import architecture
from repro.assets.checkpoints import locate_checkpoint
from repro.assets.loading import load_classifier, load_tokenizer
from repro.assets.recipes import DISTILBERT, TINY


@pytest.mark.parametrize(("name", "steps", "batch"), [("tiny", 20, 64), ("distilbert", 5, 64)])
def test_beside_the_trainer(name: str, steps: int, batch: int, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    folder = locate_checkpoint(TINY).folder
    make = partial(load_classifier, folder) if name == "tiny" else architecture
    recipe = replace(TINY if name == "tiny" else DISTILBERT, batch_size=batch)
    examples = random_examples(tweet_lengths()[: steps * batch], vocabulary=90)
    tokenizer = load_tokenizer(folder, TINY)
    benchmark.group = "sameness with the Trainer"
    found = benchmark.pedantic(compare_with_trainer, args=(make, examples, tokenizer, recipe, tmp_path))
    benchmark.extra_info.update(device="cpu", architecture=name, batch=batch, **asdict(found))
    assert found.steps == steps
    assert found.equal_parameters
    assert found.same_rows
    assert found.losses == found.learning_rates == 0


@pytest.mark.parametrize("kind", ["one batch of tweets", "3 to 512 pieces"])
def test_packed_beside_padded(kind: str, benchmark: BenchmarkFixture) -> None:
    lengths = tweet_lengths()[:64] if kind == "one batch of tweets" else [3, 512, 4, 87, 30, 200]
    examples = random_examples(lengths)
    model = architecture().eval()  # no dropout
    rows = torch.arange(len(lengths))
    benchmark.group = "sameness of packed batches"
    found = benchmark.pedantic(compare_packed_with_padded, args=(model, examples, rows))
    benchmark.extra_info.update(device="cpu", architecture="distilbert", kind=kind, **asdict(found))
    assert found.logits < 1e-5
    assert found.gradients < 1e-4
