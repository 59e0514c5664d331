"""pytest-benchmark's files, read: how a benchmark was run, its facts, and which one is the newest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from repro.benchfiles import newest, read_benchmarks

SETUP: dict[str, Any] = {
    "recipe": "minilm",
    "corpus": "rehearsal",
    "precision": "fp32",
    "batching": "packed",
    "limit": 64,
}


def write(
    path: Path, day: int, *, gpu: str | None = None, rounds: tuple[float, ...] = (1.0, 2.0), **extra: Any
) -> Path:
    entry = {
        "name": "test_step[a]", "fullname": f"benchmarks/test_{path.stem}.py::test_step[a]", "group": "steps",
        "stats": {"data": rounds}, "extra_info": extra,
    }  # fmt: skip
    machine = {"cpu": {"count": 2}, "accelerator": gpu, "libraries": {"torch": "2.13.0"}}
    commit = {"id": "f" * 40, "dirty": True}
    written = f"2026-01-0{day}T00:00:00"
    saved = {"datetime": written, "machine_info": machine, "commit_info": commit, "benchmarks": [entry]}
    path.write_text(json.dumps(saved))
    return path


def test_setup_and_facts_are_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path / "1.json", 1, gpu="T4", device="cpu", **SETUP, pieces=[5, 7], unit="step", gone=None)
    [benchmark] = read_benchmarks(file)
    assert benchmark.spec is not None
    assert (benchmark.spec.recipe, benchmark.spec.limit, benchmark.setup["device"]) == ("minilm", 64, "cpu")
    assert (benchmark.series("pieces"), benchmark.series("unit")) == ([5.0, 7.0], [])
    assert (benchmark.number("pieces"), benchmark.number("unit")) == (5.0, None)
    assert (benchmark.median, benchmark.commit, benchmark.dirty) == (1.5, "f" * 40, True)
    assert (benchmark.machine.accelerator, benchmark.machine.libraries["torch"]) == (None, "2.13.0")
    assert read_benchmarks(write(tmp_path / "2.json", 1, precision="bf16"))[0].spec is None
    assert read_benchmarks(tmp_path / "nowhere") == []


def test_the_newest_is_that_of_each_setup_and_accelerator_whatever_file_it_stands_in(tmp_path: Path) -> None:
    write(tmp_path / "1.json", 3, rounds=(3.0,), **SETUP)
    write(tmp_path / "2.json", 1, rounds=(1.0,), **SETUP)
    write(tmp_path / "3.json", 2, rounds=(2.0,), **{**SETUP, "batching": "dynamic"})
    write(tmp_path / "4.json", 4, rounds=(4.0,), gpu="H200", **SETUP)
    assert [b.rounds for b in newest(read_benchmarks(tmp_path))] == [(2.0,), (3.0,), (4.0,)]
