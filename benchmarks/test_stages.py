"""Encoding the corpus and fitting the linear baseline, the notebook's way and ours, on the recipe and corpus given."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Measured, record
from benchmarks.inference import SOLVERS
from benchmarks.peak import Variant
from repro.sections.context import Context

SAME_OPTIMUM = 1e-4  # of the objective: a converged lbfgs stops when its gradient is below 1e-4
CASES = [("encoding", "notebook"), ("encoding", "ours")] + [("linear baseline", solver) for solver in SOLVERS]


@pytest.mark.parametrize(("task", "variant"), CASES)
def test_stage(
    task: str,
    variant: str,
    in_turns: Measured,
    rounds: int,
    source: dict[str, Any],
    context: Context,
    best_objective: dict[str, float],
    benchmark: BenchmarkFixture,
) -> None:
    benchmark.group = task
    if task == "encoding":
        work, option, count, warm_up = "encode", "way", rounds, 1
    else:
        work, option, count, warm_up = "fit_linear", "solver", -(-rounds // 3), 0
    variants = {
        name: Variant(work=f"benchmarks.inference:{work}", options={option: name, **source})
        for key, name in CASES
        if key == task
    }
    timed, _ = in_turns(variants, task, count, warm_up)
    on: dict[str, Any] = {
        "recipe": context.recipe.name,
        "corpus": context.corpus.stamp.name,
        "device": "cpu",
    }  # a GPU or not
    record(benchmark, timed, unit="pass", tweets=timed[0].facts["tweets"], **on)
    if task == "linear baseline" and variant != "stopped":
        reached = timed[0].facts["objective"]
        best = best_objective.setdefault("best", reached)
        assert reached == pytest.approx(best, rel=SAME_OPTIMUM)


@pytest.fixture(scope="module")
def best_objective() -> dict[str, float]:
    """What the first solver that runs to the end reached: the others must end there too."""
    return {}
