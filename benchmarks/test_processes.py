"""Is it the same training on several processes, and what do they bring? And: what happens when one is killed.

One process is held beside 2 and 4 on this machine and 2 on two machines (two network namespaces with a cable between
them where the system lets us make them, else two launches over 127.0.0.1). They share the machine's cores, so that
their speed shows what sharing costs and not what more machines would give.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import record
from benchmarks.processes import Case, arguments_of, finish, launches, start, two_machines
from repro.regression.workers import Round

# minilm on the first rows only: what is compared is every step, and 12 of them tell
CASES = (
    Case(recipe="tiny", batching="packed"),
    Case(recipe="tiny", batching="dynamic"),
    Case(recipe="tiny", batching="packed", dropout=True),
    Case(recipe="minilm", batching="packed", limit=150),
    Case(recipe="minilm", batching="dynamic", limit=150),
)
SAME = 1e-5


@dataclass(frozen=True, kw_only=True)
class World:
    """Processes over machines; `kill_at` is the step before which the last one is killed."""

    processes: int
    machines: int = 1
    kill_at: int | None = None
    cases: tuple[Case, ...] = field(default=CASES, repr=False)


WORLDS = {
    "1": World(processes=1),
    "2": World(processes=2),
    "4": World(processes=4),
    "2-on-2": World(processes=2, machines=2),
    "2-one-killed": World(processes=2, kill_at=3, cases=CASES[:1]),
    "2-on-2-one-killed": World(processes=2, machines=2, kill_at=3, cases=CASES[:1]),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each world holds of its cases, its exit codes and how long it took to end."""
    folder = tmp_path_factory.mktemp("worlds")
    return {name: _run(world, folder / f"{name}.json") for name, world in WORLDS.items()}


def _run(world: World, output: Path) -> dict[str, Any]:
    with ExitStack() as stack:
        namespaces: Any = ()
        between = "" if world.machines == 1 else "127.0.0.1"
        if world.machines == 2:
            with suppress(OSError):  # no right to make them, or no `ip` here
                namespaces = stack.enter_context(two_machines())
                between = "two network namespaces"
        commands = launches(world.processes, machines=world.machines, namespaces=namespaces)
        threads = max(1, (os.cpu_count() or 1) // world.processes)
        ended = finish(start(commands, arguments_of(world.cases, output, world.kill_at), threads=threads))
    killed = output.with_suffix(".killed")
    seconds = time.time() - killed.stat().st_mtime if killed.exists() else 0.0
    codes = [code for code, _ in ended]
    if world.kill_at is None:
        assert codes == [0] * world.machines, ended
    held = json.loads(output.read_text()) if output.exists() else {}
    return {"held": held, "codes": codes, "between": between, "ended_seconds": seconds}


@pytest.mark.parametrize("world", [name for name, world in WORLDS.items() if world.kill_at is None])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(", ", "-").replace(" ", "-"))
def test_training(case: Case, world: str, measured: dict[str, dict[str, Any]], benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"processes: {case.name}"
    one, found = measured["1"]["held"][case.name], measured[world]["held"][case.name]
    losses = max(abs(a - b) for a, b in zip(one["losses"], found["losses"], strict=True))
    differing = sum(a != b for a, b in zip(one["predictions"], found["predictions"], strict=True))
    record(
        benchmark,
        [Round(seconds=s, facts={}, peak_mib=0.0) for s in found["epoch_seconds"]],
        case=case.name, processes=found["processes"], machines=WORLDS[world].machines, threads=found["threads"],
        device="cpu", between=measured[world]["between"], rows=found["rows"], losses_difference=losses,
        row_losses_difference=max(abs(a - b) for a, b in zip(one["row_losses"], found["row_losses"], strict=True)),
        predictions=len(found["predictions"]), predictions_differing=differing,
    )  # fmt: skip
    assert found["processes"] == WORLDS[world].processes
    if not case.dropout:
        assert losses < SAME
        assert differing == 0


@pytest.mark.parametrize("world", [name for name, world in WORLDS.items() if world.kill_at is not None])
def test_one_killed(world: str, measured: dict[str, dict[str, Any]], benchmark: BenchmarkFixture) -> None:
    benchmark.group = "processes: one killed"
    found = measured[world]
    record(
        benchmark,
        [Round(seconds=found["ended_seconds"], facts={}, peak_mib=0.0)],
        killed=True, processes=WORLDS[world].processes, machines=WORLDS[world].machines, between=found["between"],
        device="cpu", step=WORLDS[world].kill_at, exit_codes=found["codes"],
    )  # fmt: skip
    assert 0 not in found["codes"]
    assert not found["held"]
