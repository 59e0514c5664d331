"""Ours beside the notebook's way and transformers' Trainer, growth with size, and whether it is the same training.

Variants of one table entry are interleaved round by round, each in a process of its own; a name that ends in a
precision is skipped where the machine only imitates it. Steps run DistilBERT's architecture with random weights on
tweets' real lengths and need no corpus; the whole seminar takes the recipe and corpus given.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Measure, Variant
from benchmarks.peer import BATCH, architecture, random_examples, tweet_lengths
from benchmarks.sameness import compare_packed_with_padded, compare_with_itself, compare_with_trainer, same_for
from benchmarks.steps import SETTLE, encode_and_run, run_command, train_ours, train_peer, train_whole
from repro.assets.checkpoints import locate_checkpoint
from repro.assets.loading import load_classifier, load_tokenizer
from repro.assets.recipes import DISTILBERT, TINY
from repro.sections.context import Context
from repro.training.device import DeviceChoice


def in_precisions(**variants: Variant) -> dict[str, Variant]:
    return {f"{name}-{precision}": v for name, v in variants.items() for precision in ("fp32", "bf16", "fp16")}


PEERS = {
    "notebook": "every tweet padded to the corpus' longest, 87 pieces",
    "dynamic": "DataCollatorWithPadding: to the longest of the batch",
    "grouped": "DataCollatorWithPadding, train_sampling_strategy='group_by_length'",
    "varlen": "our loop with torch.nn.attention.varlen for attention, both without dropout",
}
STEP = partial(Variant, settle=SETTLE, steps_on_gpu=20)
STEPS = {
    peer: in_precisions(trainer=STEP(train_peer, {"padding": peer}), packed=STEP(train_ours, {"batching": "packed"}))
    for peer in PEERS
}
STEPS["dynamic"] |= in_precisions(dynamic=STEP(train_ours, {"batching": "dynamic"}))
STEPS["varlen"] = {
    f"{name}-{precision}": STEP(train_ours, {"batching": "packed", "varlen": name == "varlen"})
    for name in ("varlen", "packed") for precision in ("bf16", "fp16")
}  # fmt: skip
TRAININGS = {
    f"{way}-{precision}": Variant(train_whole, {"replayed": way == "replayed"}, settle=1)
    for way in ("replayed", "launched") for precision in ("bf16", "fp16")
}  # fmt: skip
GROWTH = {n: Variant(encode_and_run, {"tweets": n}) for n in (1_000, 4_000, 16_000, 64_000, 256_000)}
LIMIT = 1_600  # rows of each split: 25 steps an epoch, a tenth of the corpus
RUN = ["repro", "run", "corpus-facts", "token-facts", "features", "projection", "linear", "finetune", "--again"]


def seminar(limit: int) -> dict[str, Variant]:
    def limited(*command: str) -> Variant:
        return Variant(run_command, {"command": [*command, f"--limit={limit}"]})

    return {"notebook": limited("benchmarks.notebook"), **in_precisions(packed=limited(*RUN))}


@pytest.mark.parametrize(("peer", "variant"), [(peer, name) for peer, variants in STEPS.items() for name in variants])
def test_step(peer: str, variant: str, measure: Measure, rounds: int, on: DeviceChoice) -> None:
    if peer == "varlen" and on.device != "cuda":
        pytest.skip("torch.nn.attention.varlen runs on a GPU alone")
    title = f"step beside {'torch.nn.attention' if peer == 'varlen' else 'the Trainer'}, {peer}"
    # forward 2, backward 4 a parameter and piece
    measure(title, STEPS[peer], rounds, flop=6, unit="step", tweets=BATCH, peer=PEERS[peer])


@pytest.mark.parametrize("variant", TRAININGS)
def test_two_epochs(variant: str, measure: Measure, rounds: int, on: DeviceChoice) -> None:
    """The seminar's whole training; evaluation is left to the sections."""
    if on.device != "cuda":
        pytest.skip("that is an hour on a CPU, where `repro run finetune` records it")
    title = "two epochs of 16,000 tweets, DistilBERT's architecture"
    measure(title, TRAININGS, rounds // 2, unit="training", tweets=32_000)


@pytest.mark.parametrize(("axis", "variant"), [("tweets", str(size)) for size in GROWTH])
def test_growth(axis: str, variant: str, measure: Measure) -> None:
    size, only = int(variant), {variant: GROWTH[int(variant)]}  # each size alone: its peak memory is its own
    rounds = 3 if size > 16_000 else 6
    measure(f"growth with {axis}", only, rounds, unit=axis, size=size, tweets=size)


@pytest.mark.parametrize("variant", seminar(LIMIT))
def test_seminar(variant: str, measure: Measure, rounds: int, context: Context, benchmark: BenchmarkFixture) -> None:
    """From start to end, start-up included; a round is a process. `--limit=16000 --rounds=5` is the whole, once.

    Not the same work throughout: ours makes hidden states of two splits, the notebook of all three; ours predicts the
    test split, the notebook the validation split once more; ours writes records.
    """
    limit = context.spec.limit or LIMIT
    on: dict[str, Any] = {"recipe": context.recipe.name, "corpus": context.corpus.stamp.name, "variant": variant}
    title = f"the seminar from start to end, first {limit:,} rows of each split"
    times = max(1 if context.spec.limit else 3, rounds // 5)
    measure(title, seminar(limit), times, warm_up=0, unit="pass", limit=limit, **on)  # as in the notebook, no warm-up
    benchmark.extra_info["peak_mib"] = []  # it would be that of the process which waits
    del benchmark.extra_info["precision"]  # ours stands in the variant; the notebook chooses none


@pytest.mark.parametrize(("name", "steps", "batch"), [("tiny", 20, 64), ("distilbert", 2, 64)])
def test_beside_the_trainer(name: str, steps: int, batch: int, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    folder = locate_checkpoint(TINY).folder
    make = partial(load_classifier, folder) if name == "tiny" else architecture
    recipe = replace(TINY if name == "tiny" else DISTILBERT, batch_size=batch)
    examples = random_examples(tweet_lengths()[: steps * batch], vocabulary=90)
    compared = make, examples, load_tokenizer(folder, TINY), recipe, tmp_path
    benchmark.group = "sameness with the Trainer"
    same = benchmark.pedantic(compare_with_trainer, args=compared, rounds=3)
    benchmark.extra_info.update(device="cpu", architecture=name, batch=batch, **asdict(same))
    assert same == same_for(steps)


def test_one_seed_twice(on: DeviceChoice, benchmark: BenchmarkFixture) -> None:
    examples = random_examples(tweet_lengths()[: 100 * BATCH])
    benchmark.group = "sameness of one seed twice"
    options = {"device": str(on.device), "precision": str(on.precision)}
    if on.device != "cuda":
        pytest.skip("on a CPU tests hold that every bit is the same")
    same = benchmark.pedantic(compare_with_itself, args=(architecture, examples, DISTILBERT), kwargs=options, rounds=1)
    benchmark.extra_info.update(architecture="distilbert", batch=BATCH, **options, **asdict(same))
    assert same.steps == 100


@pytest.mark.parametrize("kind", ["one batch of tweets", "3 to 512 pieces"])
def test_packed_beside_padded(kind: str, benchmark: BenchmarkFixture) -> None:
    lengths = tweet_lengths()[:BATCH] if kind == "one batch of tweets" else [3, 512, 4, 87, 30, 200]
    compared = architecture().eval(), random_examples(lengths), torch.arange(len(lengths))  # no dropout
    benchmark.group = "sameness of packed batches"
    same = benchmark.pedantic(compare_packed_with_padded, args=compared, rounds=3)
    benchmark.extra_info.update(device="cpu", architecture="distilbert", kind=kind, **asdict(same))
    assert same.logits < 1e-5
    assert same.gradients < 1e-4
