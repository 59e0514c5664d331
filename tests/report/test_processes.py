"""The tables of several processes and of large loads, from files as pytest-benchmark writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from repro.benchfiles import Benchmark, Machine
from repro.report.processes import load_table, process_table


def timing(shortest: float, group: str = "processes: tiny", **facts: Any) -> Benchmark:
    return Benchmark(
        name="x", fullname="x", group=group, rounds=(shortest,), setup={"device": "cpu"}, facts=facts,
        machine=Machine(libraries={}), commit="abc", dirty=False, written=datetime(2026, 1, 1, tzinfo=UTC),
        file=Path("x.json"),
    )  # fmt: skip


def trained(shortest: float, processes: int, machines: int = 1, **facts: Any) -> Benchmark:
    known = {
        "case": "tiny, packed", "threads": 1, "between": "127.0.0.1", "rows": 600, "losses_difference": 2e-7,
        "row_losses_difference": 3e-7, "predictions": 150, "predictions_differing": 0,
    }  # fmt: skip
    return timing(shortest, **{**known, "processes": processes, "machines": machines, **facts})


def test_processes_are_held_beside_one_and_a_killed_one_says_how_it_ended() -> None:
    killed = timing(1.5, killed=True, processes=2, machines=1, between="", step=3, exit_codes=[1])
    rows = process_table([trained(2.0, 1), trained(1.0, 2), trained(4.0, 2, machines=2), killed]).rows
    assert [row[1] for row in rows] == ["1", "2", "2 on 2 machines (127.0.0.1)", "2"]
    assert [row[6:8] for row in rows] == [("300.0", "1.00"), ("600.0", "2.00"), ("150.0", "0.50"), ("", "")]
    assert rows[1][3:6] == ("2.0e-07", "3.0e-07", "0 of 150")
    assert rows[3][0] == "one process killed before step 3: ended after 1.5 s, exit code 1"


def test_a_load_says_its_size_its_speed_and_its_memory() -> None:
    found = load_table(
        [timing(4.0, group="load: corpus", what="pack", size=2_000_000, peak_mib=[1536.0]), trained(1, 1)]
    )
    assert found.rows == (("pack", "2,000,000", "4.00", "500,000", "1536", "abc"),)
