"""How our time and memory grow: with the number of tweets, their length and the batch.

Tweets: texts tokenized, packed and run through the tiny encoder. Length and batch: one training step of DistilBERT's
architecture in the machine's own precision. Each point is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Measured, record
from benchmarks.lengths import tweet_lengths
from benchmarks.peak import Variant
from benchmarks.steps import BATCH, SETTLE

ROUNDS = 6
FEW = 3  # of the largest, each of which takes half a minute
LARGE = {"tweets": 64_000, "length": 256, "batch": 512}
SIZES = {
    "tweets": (1_000, 4_000, 16_000, 64_000, 256_000),
    "length": (8, 16, 32, 64, 128, 256, 512),
    "batch": (8, 16, 32, 64, 128, 256, 512, 1_024),
}
STEPS = 15  # batches there are: more than the rounds and the one that warms up, each with its steps to settle, take
CASES = [(axis, str(size)) for axis, sizes in SIZES.items() for size in sizes]


@pytest.mark.parametrize(("axis", "variant"), CASES)
def test_growth(
    axis: str, variant: str, in_turns: Measured, device: str, precision: str, benchmark: BenchmarkFixture
) -> None:
    benchmark.group = f"growth with {axis}"
    size = int(variant)
    if axis == "tweets":
        options: dict[str, object] = {"tweets": size, "device": device, "precision": precision}
        only = Variant(work="benchmarks.inference:encode_and_run", options=options)
    else:
        lengths = [size] * BATCH * STEPS if axis == "length" else tweet_lengths()[: size * STEPS]
        options = {"lengths": lengths, "batching": "packed", "precision": precision, "device": device}
        options["batch"] = size if axis == "batch" else BATCH
        only = Variant(work="benchmarks.steps:train_ours", options=options, settle=SETTLE)
    timed, _ = in_turns({variant: only}, axis, FEW if size >= LARGE[axis] else ROUNDS)
    tweets = BATCH if axis == "length" else size
    record(benchmark, timed, unit=axis, size=size, tweets=tweets, precision=precision)
