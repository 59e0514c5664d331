"""The seminar's computing cells from start to end, start-up included: as the notebook writes them, and ours.

A round is a process: the first rows of every split, tokens, hidden states, projection, linear baseline, fine-tuning
with evaluation, prediction. Not the same work throughout: ours makes hidden states of two splits (train, validation),
the notebook of all three; ours predicts the test split, the notebook the validation split once more; ours fits the
logistic regression three ways and writes records.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Measured, record
from benchmarks.peak import Variant
from benchmarks.turns import Turn
from repro.sections.context import Context

LIMIT = 1_600  # rows of each split: 25 steps an epoch, a tenth of the corpus
LEAST_ROUNDS = 3
ROOT = Path(__file__).parents[1]
RUN = [
    "repro", "run", "corpus-facts", "token-facts", "features", "projection", "linear", "finetune", "--again",
]  # fmt: skip
COMMANDS = {
    "notebook": ["benchmarks.notebook"],
    "packed-fp32": [*RUN, "--precision", "fp32"],
    "packed-bf16": [*RUN, "--precision", "bf16"],
}


def run_command(turn: Turn, *, command: list[str], precision: str = "") -> None:
    """Run a module in a process of its own, a round each, our records into a folder that is removed."""
    del precision  # it says which machines can measure this
    with TemporaryDirectory() as results:
        own = [f"--results={results}"] if command[0] == "repro" else []
        while True:
            subprocess.run([sys.executable, "-m", *command, *own], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            turn.done()


@pytest.mark.parametrize("variant", COMMANDS)
def test_seminar(
    variant: str,
    in_turns: Measured,
    rounds: int,
    device: str,
    source: dict[str, Any],
    context: Context,
    benchmark: BenchmarkFixture,
) -> None:
    benchmark.group = f"the seminar from start to end, first {LIMIT:,} rows of each split"
    given = [f"--{name}={value}" for name, value in {**source, "device": device}.items() if value]
    variants = {}
    for name, command in COMMANDS.items():
        options = {"command": [*command, *given, f"--limit={LIMIT}"], "precision": name.partition("-")[2]}
        variants[name] = Variant(work="benchmarks.test_seminar:run_command", options=options)
    timed, _ = in_turns(variants, "", max(LEAST_ROUNDS, rounds // 5), 0)  # nothing warms up, as in the notebook
    on: dict[str, Any] = {"recipe": context.recipe.name, "corpus": context.corpus.stamp.name}
    record(benchmark, timed, unit="pass", variant=variant, **on)
    benchmark.extra_info["peak_mib"] = []  # it would be that of the process which waits
