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

import pytest
from benchmarks.replay import CLOCK, replay
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.turns import Round, Turn, Variant, take_turns
from repro.sections.context import Context

LIMIT = 1_600  # rows of each split: 25 steps an epoch, a tenth of the corpus
ROOT = Path(__file__).parents[1]
SECTIONS = ("corpus-facts", "token-facts", "features", "projection", "linear", "finetune")
COMMANDS = {
    "notebook": ["benchmarks.notebook"],
    "packed-fp32": ["repro", "run", *SECTIONS, "--again", "--precision", "fp32"],
    "packed-bf16": ["repro", "run", *SECTIONS, "--again", "--precision", "bf16"],
}


def run_command(turn: Turn, *, command: list[str]) -> None:
    """Run a module in a process of its own, a round each."""
    while True:
        subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        turn.done()


@pytest.fixture(scope="module")
def measured(
    context: Context,
    source: dict[str, str | None],
    rounds: int,
    device: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, list[Round]]:
    """All rounds by variant; nothing warms up, as nothing does for the notebook's reader."""
    del context  # it checks what was asked for
    options = [f"--{name}={value}" for name, value in {**source, "device": device}.items() if value]
    variants = {}
    for name, command in COMMANDS.items():
        results = [f"--results={tmp_path_factory.mktemp(name)}"] if name != "notebook" else []
        variants[name] = Variant(
            work=run_command, options={"command": [*command, *options, f"--limit={LIMIT}", *results]}
        )
    return take_turns(variants, -(-rounds // 5), warm_up=0)


@pytest.mark.parametrize("variant", COMMANDS)
@pytest.mark.benchmark(timer=CLOCK)
def test_seminar(variant: str, measured: dict[str, list[Round]], context: Context, benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"the seminar from start to end, first {LIMIT:,} rows of each split"
    corpus = context.corpus.stamp.name
    replay(
        benchmark,
        measured[variant],
        unit="pass",
        variant=variant,
        peak_mib=[],
        recipe=context.recipe.name,
        corpus=corpus,
    )
