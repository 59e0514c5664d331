"""A corpus of many rows through loading, checks, tokens, packed batches and scores, each pass a process of its own.

The rows are those of a small corpus (`--corpus`, else the rehearsal one) again and again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import ROOT, record
from benchmarks.load import write_corpus
from repro.regression.workers import Round

ROWS, ROUNDS = 500_000, 3
MOST_MIB = 3 * 1024
STAGES = ("load and check", "tokenize", "pack", "score")


@pytest.fixture(scope="module")
def passes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Round]]:
    """Seconds and peak MiB of each stage, a process a round."""
    folder: Path = tmp_path_factory.mktemp("corpus")
    source = str(request.config.getoption("--corpus") or os.environ.get("REPRO_CORPUS") or "rehearsal")
    write_corpus(source, folder, request.config.getoption("--limit") or ROWS)
    command = [sys.executable, "-m", "benchmarks.load", "score", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    measured: list[dict[str, Round]] = []
    for _ in range(ROUNDS):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        stages = json.loads(done.stdout)[0].items()
        measured.append({name: Round(**stage, facts={}) for name, stage in stages})
    return measured


@pytest.mark.parametrize("stage", STAGES)
def test_corpus(
    stage: str, passes: list[dict[str, Round]], request: pytest.FixtureRequest, benchmark: BenchmarkFixture
) -> None:
    benchmark.group = "load: corpus"
    size = request.config.getoption("--limit") or ROWS
    rounds = [measured[stage] for measured in passes]
    record(benchmark, rounds, what=f"rows: {stage}", size=size, device="cpu")
    assert max(timed.peak_mib for timed in rounds) < MOST_MIB
