"""Is it the same training on several processes, and what do they bring? And: what happens when one is killed.

One process is compared with 2 and 4 on this machine and 2 on two machines (two network namespaces with a cable between
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


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a world's processes computed of each case, its exit codes, and the seconds from a kill to its end."""

    trained: dict[str, Any]
    codes: list[int]
    between: str
    seconds: float


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """The end of each world."""
    folder = tmp_path_factory.mktemp("worlds")
    return {name: _run(world, folder / f"{name}.json") for name, world in WORLDS.items()}


def _run(world: World, output: Path) -> Ended:
    with ExitStack() as stack:
        namespaces: Any = ()
        between = "" if world.machines == 1 else "127.0.0.1"
        if world.machines == 2:
            with suppress(OSError):  # no right to make them, or no `ip` here
                namespaces = stack.enter_context(two_machines())
                between = "two network namespaces"
        commands = launches(world.processes, machines=world.machines, namespaces=namespaces)
        threads = max(1, (os.cpu_count() or 1) // world.processes)
        launched = finish(start(commands, arguments_of(world.cases, output, world.kill_at), threads=threads))
    codes, killed = [code for code, _ in launched], output.with_suffix(".killed")
    if world.kill_at is None:
        assert codes == [0] * world.machines, launched
    return Ended(
        trained=json.loads(output.read_text()) if output.exists() else {},
        codes=codes,
        between=between,
        seconds=time.time() - killed.stat().st_mtime if killed.exists() else 0.0,
    )


@pytest.mark.parametrize("world", [name for name, world in WORLDS.items() if world.kill_at is None])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(", ", "-").replace(" ", "-"))
def test_training(case: Case, world: str, ended: dict[str, Ended], benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"processes: {case.name}"
    one, several = ended["1"].trained[case.name], ended[world].trained[case.name]

    def largest_difference(name: str) -> float:
        return float(max(abs(a - b) for a, b in zip(one[name], several[name], strict=True)))

    losses = largest_difference("losses")
    differing = sum(a != b for a, b in zip(one["predictions"], several["predictions"], strict=True))
    record(
        benchmark,
        [Round(seconds=s, facts={}, peak_mib=0.0) for s in several["epoch_seconds"]],
        case=case.name, processes=several["processes"], machines=WORLDS[world].machines, threads=several["threads"],
        device="cpu", between=ended[world].between, rows=several["rows"], losses_difference=losses,
        row_losses_difference=largest_difference("row_losses"),
        predictions=len(several["predictions"]), predictions_differing=differing,
    )  # fmt: skip
    assert several["processes"] == WORLDS[world].processes
    if not case.dropout:
        assert losses < SAME
        assert differing == 0


@pytest.mark.parametrize("world", [name for name, world in WORLDS.items() if world.kill_at is not None])
def test_one_killed(world: str, ended: dict[str, Ended], benchmark: BenchmarkFixture) -> None:
    benchmark.group = "processes: one killed"
    end, launched = ended[world], WORLDS[world]
    record(
        benchmark,
        [Round(seconds=end.seconds, facts={}, peak_mib=0.0)],
        killed=True, processes=launched.processes, machines=launched.machines, between=end.between, device="cpu",
        step=launched.kill_at, exit_codes=end.codes,
    )  # fmt: skip
    assert 0 not in end.codes
    assert not end.trained
