"""How our time and memory grow: with the number of tweets, their length and the batch.

Tweets: texts tokenized, packed and run through the tiny encoder. Length and batch: one training step of DistilBERT's
architecture in bf16. Each point is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import pytest
from benchmarks.replay import CLOCK, replay
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.inference import encode_and_run
from benchmarks.lengths import tweet_lengths
from benchmarks.peak import multiply
from benchmarks.steps import BATCH, SETTLE, train_ours
from benchmarks.turns import Variant, take_turns

ROUNDS = 6
FEW = 2  # of the largest, each of which takes half a minute
LARGE = {"tweets": 64_000, "length": 256, "batch": 512}
TWEETS = (1_000, 4_000, 16_000, 64_000, 256_000)
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
BATCHES = (8, 16, 32, 64, 128, 256, 512, 1_024)
STEPS = 15  # batches there are: more than the rounds and the one that warms up, each with its steps to settle, take
CASES = [("tweets", n) for n in TWEETS] + [("length", n) for n in LENGTHS] + [("batch", n) for n in BATCHES]


@pytest.mark.parametrize(("axis", "size"), CASES)
@pytest.mark.benchmark(timer=CLOCK)
def test_growth(axis: str, size: int, device: str, benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"growth with {axis}"
    packed = {"batching": "packed", "precision": "bf16", "device": device}
    ours = {
        "tweets": Variant(work=encode_and_run, options={"tweets": size, "device": device}),
        "length": Variant(work=train_ours, options={"lengths": [size] * BATCH * STEPS, **packed}, settle=SETTLE),
        "batch": Variant(
            work=train_ours,
            options={"lengths": tweet_lengths()[: size * STEPS], "batch": size, **packed},
            settle=SETTLE,
        ),
    }[axis]
    peak = Variant(work=multiply, options={"precision": "bf16", "device": device})
    count = FEW if size >= LARGE[axis] else ROUNDS
    rounds = take_turns({"peak": peak, "ours": ours}, count, warm_up=1)
    texts = BATCH if axis == "length" else size
    replay(benchmark, rounds["ours"], rounds["peak"], unit=axis, size=size, tweets=texts, precision="bf16")
