"""Encoding the corpus and fitting the linear baseline, the notebook's way and ours, on the recipe and corpus given."""

from __future__ import annotations

import pytest
from benchmarks.replay import CLOCK, replay
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.inference import encode, fit_linear
from benchmarks.peak import multiply
from benchmarks.turns import Round, Variant, take_turns
from repro.sections.context import Context
from repro.sections.linear import SOLVERS

SAME_OPTIMUM = 1e-4  # of the objective: a converged lbfgs stops when its gradient is below 1e-4
CASES = [("encoding", "notebook"), ("encoding", "ours")] + [("linear baseline", solver) for solver in SOLVERS]


@pytest.fixture(scope="module")
def measured(context: Context, source: dict[str, str | None], rounds: int) -> dict[str, dict[str, list[Round]]]:
    """All rounds by task and variant."""
    del context  # it checks what was asked for, before processes are started
    peak = Variant(work=multiply, options={"precision": "fp32"})
    encoding = {way: Variant(work=encode, options={"way": way, **source}) for way in ("notebook", "ours")}
    linear = {name: Variant(work=fit_linear, options={"solver": name, **source}) for name in SOLVERS}
    return {
        "encoding": take_turns({"peak": peak, **encoding}, rounds, warm_up=1),
        "linear baseline": take_turns({"peak": peak, **linear}, -(-rounds // 3), warm_up=0),
    }


@pytest.mark.parametrize(("task", "variant"), CASES)
@pytest.mark.benchmark(timer=CLOCK)
def test_stage(
    task: str, variant: str, measured: dict[str, dict[str, list[Round]]], context: Context, benchmark: BenchmarkFixture
) -> None:
    benchmark.group = task
    rounds = measured[task][variant]
    on = {"recipe": context.recipe.name, "corpus": context.corpus.stamp.name, "device": "cpu"}  # a GPU or not
    replay(benchmark, rounds, measured[task]["peak"], unit="pass", tweets=rounds[0].facts["tweets"], **on)
    if task == "linear baseline" and SOLVERS[variant].runs_to_the_end:
        best = min(r.facts["objective"] for name in SOLVERS for r in measured[task][name])
        assert rounds[0].facts["objective"] <= best * (1 + SAME_OPTIMUM)
