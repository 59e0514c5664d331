"""One training step of DistilBERT's architecture on tweets' real lengths, batch 64: transformers' Trainer and ours.

A group for each way to run the Trainer (so that all variants of a group fit into 16 GiB) and one for torch.compile
(which wants a C++ compiler), each with our packed step. Needs no corpus, checkpoint or Hub.
"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Measured, record
from benchmarks.peak import Variant
from benchmarks.steps import SETTLE

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


def group(peer: str, rounds: int, device: str) -> dict[str, Variant]:
    variants = {}
    for name in (name for key, name in VARIANTS if key == peer):
        batching, _, precision = name.partition("-")
        options: dict[str, Any] = {"precision": precision, "device": device}
        if batching == "trainer":
            work, options = "train_peer", options | {"padding": peer, "rounds": rounds}
        elif batching == COMPILED:
            work, options = "train_ours", options | {"batching": "packed", "compiled": True}
        else:
            work, options = "train_ours", options | {"batching": batching}
        variants[name] = Variant(work=f"benchmarks.steps:{work}", options=options, settle=SETTLE)
    return variants


@pytest.mark.parametrize(("peer", "variant"), VARIANTS)
def test_step(
    peer: str, variant: str, in_turns: Measured, rounds: int, device: str, benchmark: BenchmarkFixture
) -> None:
    benchmark.group = "step, layers compiled" if peer == COMPILED else f"step beside the Trainer, {peer}"
    timed, peak = in_turns(group(peer, rounds, device), peer, rounds, peak=True)
    # forward 2, backward 4 a parameter and piece
    flop = [6 * r.facts["pieces"] * r.facts["parameters"] for r in timed]
    precision = variant.rpartition("-")[2]
    record(
        benchmark, timed, peak, useful_flop=flop, unit="step", tweets=64, precision=precision, peer=PEERS[peer],
    )  # fmt: skip
