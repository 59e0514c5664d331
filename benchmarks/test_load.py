"""Two million rows through loading, checks, tokens, packed batches and scores; ten thousand records judged and told.

The rows are those of a small corpus (`--corpus`, else the rehearsal one) again and again, the records those of
`results/`, or of `--results` where it holds any, with other seeds and times. Each is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from benchmarks.folders import fill_with_runs
from benchmarks.replay import CLOCK, replay
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.load import write_corpus
from benchmarks.processes import ROOT
from benchmarks.turns import Round

ROWS, RECORDS = 2_000_000, 10_000
MOST_MIB = 3 * 1024
STAGES = ("libraries", "load and check", "tokenize", "pack", "score")
TELL_PEAK = (
    "import sys; from repro.cli import main\n"
    "try:\n main()\nfinally:\n"
    " sys.stderr.write(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
)


def _python(*arguments: str, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode in codes, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def stages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """Seconds and peak MiB of each stage."""
    folder = tmp_path_factory.mktemp("corpus")
    source = str(request.config.getoption("--corpus") or os.environ.get("REPRO_CORPUS") or "rehearsal")
    write_corpus(source, folder, request.config.getoption("--limit") or ROWS)
    found: list[dict[str, dict[str, float]]] = json.loads(_python("-m", "benchmarks.load", "score", str(folder)).stdout)
    return found[0]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.benchmark(timer=CLOCK)
def test_corpus(
    stage: str, stages: dict[str, dict[str, float]], request: pytest.FixtureRequest, benchmark: BenchmarkFixture
) -> None:
    benchmark.group = "load: corpus"
    found, size = stages[stage], request.config.getoption("--limit") or ROWS
    rounds = [Round(seconds=max(found["seconds"], 1e-6), facts={}, peak_mib=found["peak_mib"])]
    replay(benchmark, rounds, what=f"rows: {stage}", size=size if stage != "libraries" else 0, device="cpu")
    assert found["peak_mib"] < MOST_MIB


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many records."""
    results = tmp_path_factory.mktemp("records")
    fill_with_runs(ROOT / "results", results, RECORDS)
    return results


@pytest.mark.parametrize("command", ["verify", "report"])
@pytest.mark.benchmark(timer=CLOCK)
def test_records(command: str, folder: Path, benchmark: BenchmarkFixture) -> None:
    benchmark.group = "load: records"
    begun = time.perf_counter()
    done = _python("-c", TELL_PEAK, command, f"--results={folder}", codes=(0, 1))
    seconds = time.perf_counter() - begun
    peak: Any = int(done.stderr.split()[-1]) / 1024
    rounds = [Round(seconds=seconds, facts={}, peak_mib=peak)]
    replay(benchmark, rounds, what=f"records: repro {command}", size=RECORDS, device="cpu")
    if command == "report":
        assert (folder / "REPORT.md").is_file()
