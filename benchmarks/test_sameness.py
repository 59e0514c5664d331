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

ROUNDS = 3


@pytest.mark.parametrize(("name", "steps", "batch"), [("tiny", 20, 64), ("distilbert", 2, 64)])
def test_beside_the_trainer(name: str, steps: int, batch: int, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    folder = locate_checkpoint(TINY).folder
    make = partial(load_classifier, folder) if name == "tiny" else architecture
    recipe = replace(TINY if name == "tiny" else DISTILBERT, batch_size=batch)
    examples = random_examples(tweet_lengths()[: steps * batch], vocabulary=90)
    tokenizer = load_tokenizer(folder, TINY)
    benchmark.group = "sameness with the Trainer"
    compared = (make, examples, tokenizer, recipe, tmp_path)
    same = benchmark.pedantic(compare_with_trainer, args=compared, rounds=ROUNDS)
    benchmark.extra_info.update(device="cpu", architecture=name, batch=batch, **asdict(same))
    assert same.steps == steps
    assert same.equal_parameters
    assert same.same_rows
    assert same.losses == same.learning_rates == 0


@pytest.mark.parametrize("kind", ["one batch of tweets", "3 to 512 pieces"])
def test_packed_beside_padded(kind: str, benchmark: BenchmarkFixture) -> None:
    lengths = tweet_lengths()[:64] if kind == "one batch of tweets" else [3, 512, 4, 87, 30, 200]
    examples = random_examples(lengths)
    model = architecture().eval()  # no dropout
    rows = torch.arange(len(lengths))
    benchmark.group = "sameness of packed batches"
    same = benchmark.pedantic(compare_packed_with_padded, args=(model, examples, rows), rounds=ROUNDS)
    benchmark.extra_info.update(device="cpu", architecture="distilbert", kind=kind, **asdict(same))
    assert same.logits < 1e-5
    assert same.gradients < 1e-4
