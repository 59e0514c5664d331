"""Hidden states and evaluation of DistilBERT's architecture on tweets' real lengths: the notebook's way and ours.

Hidden states of 1,000 tweets (one batch of the notebook's `map`), predictions of 512; random weights, no corpus needed.
"""

from __future__ import annotations

import pytest
from benchmarks.replay import CLOCK, replay
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import inference
from benchmarks.lengths import tweet_lengths
from benchmarks.peak import multiply
from benchmarks.turns import Round, Variant, Work, take_turns

STATES, PREDICTED = 1_000, 512
PRECISIONS = ("fp32", "bf16")
TASKS: dict[str, dict[str, tuple[Work, dict[str, str]]]] = {
    "hidden states": {
        "notebook-fp32": (inference.extract_notebook, {}),
        "packed-fp32": (inference.extract_ours, {"precision": "fp32"}),
        "packed-bf16": (inference.extract_ours, {"precision": "bf16"}),
    },
    "evaluation": {
        "trainer-fp32": (inference.evaluate_trainer, {"precision": "fp32"}),
        "trainer-bf16": (inference.evaluate_trainer, {"precision": "bf16"}),
        "packed-fp32": (inference.evaluate_ours, {"precision": "fp32"}),
        "packed-bf16": (inference.evaluate_ours, {"precision": "bf16"}),
    },
}
CASES = [(task, variant) for task, variants in TASKS.items() for variant in variants]


@pytest.fixture(scope="module")
def measured(rounds: int, device: str) -> dict[str, dict[str, list[Round]]]:
    """All rounds by task and variant, half as many as of a step: a round is longer."""
    found = {}
    for task, made in TASKS.items():
        lengths = tweet_lengths()[: STATES if task == "hidden states" else PREDICTED]
        variants = {f"peak-{p}": Variant(work=multiply, options={"precision": p, "device": device}) for p in PRECISIONS}
        for name, (work, options) in made.items():
            variants[name] = Variant(work=work, options={"lengths": lengths, "device": device, **options})
        found[task] = take_turns(variants, -(-rounds // 2), warm_up=1)
    return found


@pytest.mark.parametrize(("task", "variant"), CASES)
@pytest.mark.benchmark(timer=CLOCK)
def test_inference(
    task: str, variant: str, measured: dict[str, dict[str, list[Round]]], benchmark: BenchmarkFixture
) -> None:
    benchmark.group = task
    rounds, precision = measured[task][variant], variant.rpartition("-")[2]
    flop = [2 * r.facts["pieces"] * r.facts["parameters"] for r in rounds]
    replay(
        benchmark, rounds, measured[task][f"peak-{precision}"], useful_flop=flop, unit="pass", precision=precision,
        tweets=STATES if task == "hidden states" else PREDICTED,
    )  # fmt: skip
