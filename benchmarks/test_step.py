"""One training step of DistilBERT's architecture on tweets' real lengths, batch 64: transformers' Trainer and ours.

Interleaved runs, one for each way to run the Trainer (so that all variants of a run fit into 16 GiB) and one for
torch.compile (which wants a C++ compiler), each with our packed step and the machine's own matrix multiplication in
both precisions. Needs no corpus, checkpoint or Hub.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from benchmarks.replay import CLOCK, replay
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.lengths import tweet_lengths
from benchmarks.peak import multiply
from benchmarks.steps import SETTLE, train_ours, train_peer
from benchmarks.turns import Round, Variant, take_turns

PRECISIONS = ("fp32", "bf16")
COMPILED = "compiled"
PEERS = {
    "notebook": "every tweet padded to the corpus' longest, 87 pieces",
    "dynamic": "DataCollatorWithPadding: to the longest of the batch",
    "grouped": "DataCollatorWithPadding, train_sampling_strategy='group_by_length'",
    COMPILED: "ours, every layer but the last through torch.compile",
}
VARIANTS = [(peer, f"trainer-{precision}") for peer in PEERS if peer != COMPILED for precision in PRECISIONS]
VARIANTS += [(peer, f"packed-{precision}") for peer in PEERS for precision in PRECISIONS]
VARIANTS += [(peer, f"{peer}-{precision}") for peer in ("dynamic", COMPILED) for precision in PRECISIONS]


@pytest.fixture(scope="module")
def measured(rounds: int, device: str) -> Callable[[str], dict[str, list[Round]]]:
    """The function from a peer to all rounds by variant, measured when it is first asked for."""

    @cache
    def measure(peer: str) -> dict[str, list[Round]]:
        lengths = tweet_lengths()
        variants = {
            f"peak-{precision}": Variant(work=multiply, options={"precision": precision, "device": device})
            for precision in PRECISIONS
        }
        for name in (name for run, name in VARIANTS if run == peer):
            batching, _, precision = name.partition("-")
            options: dict[str, Any] = {"lengths": lengths, "precision": precision, "device": device}
            work = train_peer if batching == "trainer" else train_ours
            if batching == "trainer":
                options |= {"padding": peer, "rounds": rounds}
            elif batching == COMPILED:
                options |= {"batching": "packed", "compiled": True}
            else:
                options["batching"] = batching
            variants[name] = Variant(work=work, options=options, settle=SETTLE)
        return take_turns(variants, rounds)

    return measure


@pytest.mark.parametrize(("peer", "variant"), VARIANTS)
@pytest.mark.benchmark(timer=CLOCK)
def test_step(
    peer: str, variant: str, measured: Callable[[str], dict[str, list[Round]]], benchmark: BenchmarkFixture
) -> None:
    benchmark.group = "step, layers compiled" if peer == COMPILED else f"step beside the Trainer, {peer}"
    found, precision = measured(peer), variant.rpartition("-")[2]
    rounds = found[variant]
    flop = [
        6 * r.facts["pieces"] * r.facts["parameters"] for r in rounds
    ]  # forward 2, backward 4 a parameter and piece
    replay(
        benchmark, rounds, found[f"peak-{precision}"], useful_flop=flop, unit="step", tweets=64,
        precision=precision, peer=PEERS[peer],
    )  # fmt: skip
    if peer != "grouped":  # both draw the batches from the same seed: the very same tweets
        ours = found["packed-fp32"]
        assert [r.facts["pieces"] for r in rounds] == [r.facts["pieces"] for r in ours]
