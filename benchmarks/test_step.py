"""One training step of DistilBERT's architecture on tweets' real lengths, batch 64: transformers' Trainer and ours.

Three interleaved runs, one for each way to run the Trainer (so that all variants of a run fit into 16 GiB), each with
our packed step and the machine's own matrix multiplication in both precisions. Needs no corpus, checkpoint or Hub.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.lengths import tweet_lengths
from benchmarks.peak import multiply
from benchmarks.replay import CLOCK, replay
from benchmarks.steps import train_ours, train_peer
from benchmarks.turns import Round, Variant, take_turns

PRECISIONS = ("fp32", "bf16")
PEERS = {
    "notebook": "every tweet padded to the corpus' longest, 87 pieces",
    "dynamic": "DataCollatorWithPadding: to the longest of the batch",
    "grouped": "DataCollatorWithPadding, train_sampling_strategy='group_by_length'",
}
VARIANTS = [(peer, f"trainer-{precision}") for peer in PEERS for precision in PRECISIONS]
VARIANTS += [(peer, f"packed-{precision}") for peer in PEERS for precision in PRECISIONS]
VARIANTS += [("dynamic", f"dynamic-{precision}") for precision in PRECISIONS]


@pytest.fixture(scope="module")
def measured(rounds: int, device: str) -> dict[str, dict[str, list[Round]]]:
    """All rounds by peer and variant."""
    lengths = tweet_lengths()
    found = {}
    for peer in PEERS:
        variants = {
            f"peak-{precision}": Variant(work=multiply, options={"precision": precision, "device": device})
            for precision in PRECISIONS
        }
        for name in (name for run, name in VARIANTS if run == peer):
            batching, _, precision = name.partition("-")
            options = {"lengths": lengths, "precision": precision, "device": device}
            if batching == "trainer":
                variants[name] = Variant(work=train_peer, options={**options, "padding": peer})
            else:
                variants[name] = Variant(work=train_ours, options={**options, "batching": batching})
        found[peer] = take_turns(variants, rounds)
    return found


@pytest.mark.parametrize(("peer", "variant"), VARIANTS)
@pytest.mark.benchmark(timer=CLOCK)
def test_step(
    peer: str, variant: str, measured: dict[str, dict[str, list[Round]]], benchmark: BenchmarkFixture
) -> None:
    benchmark.group = f"step beside the Trainer, {peer}"
    rounds, precision = measured[peer][variant], variant.rpartition("-")[2]
    flop = [
        6 * r.facts["pieces"] * r.facts["parameters"] for r in rounds
    ]  # forward 2, backward 4 a parameter and piece
    replay(
        benchmark, rounds, measured[peer][f"peak-{precision}"], useful_flop=flop, unit="step", tweets=64,
        precision=precision, peer=PEERS[peer],
    )  # fmt: skip
    if peer != "grouped":  # both draw the batches from the same seed: the very same tweets
        ours = measured[peer]["packed-fp32"]
        assert [r.facts["pieces"] for r in rounds] == [r.facts["pieces"] for r in ours]
