"""Hidden states and evaluation of DistilBERT's architecture on tweets' real lengths: the notebook's way and ours.

Hidden states of 1,000 tweets (one batch of the notebook's `map`), predictions of 512; random weights, no corpus needed.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Measured, record
from benchmarks.peak import Variant

TWEETS = {"hidden states": 1_000, "evaluation": 512}
WORK = {
    "notebook": "extract_notebook", "packed": "extract_ours", "trainer": "evaluate_trainer", "ours": "evaluate_ours",
}  # fmt: skip
CASES = [
    ("hidden states", "notebook-fp32"), ("hidden states", "packed-fp32"), ("hidden states", "packed-bf16"),
    ("evaluation", "trainer-fp32"), ("evaluation", "trainer-bf16"), ("evaluation", "packed-fp32"),
    ("evaluation", "packed-bf16"),
]  # fmt: skip


def group(task: str, device: str) -> dict[str, Variant]:
    variants = {}
    for name in (name for key, name in CASES if key == task):
        way, _, precision = name.partition("-")
        work = WORK["ours" if (task, way) == ("evaluation", "packed") else way]
        options = {"tweets": TWEETS[task], "device": device}
        if way != "notebook":
            options["precision"] = precision
        variants[name] = Variant(work=f"benchmarks.inference:{work}", options=options)
    return variants


@pytest.mark.parametrize(("task", "variant"), CASES)
def test_inference(
    task: str, variant: str, in_turns: Measured, rounds: int, device: str, benchmark: BenchmarkFixture
) -> None:
    benchmark.group = task
    timed, peak = in_turns(group(task, device), task, -(-rounds // 2), peak=True)  # a round is longer than a step
    flop = [2 * r.facts["pieces"] * r.facts["parameters"] for r in timed]
    precision = variant.rpartition("-")[2]
    record(benchmark, timed, peak, useful_flop=flop, unit="pass", precision=precision, tweets=TWEETS[task])
