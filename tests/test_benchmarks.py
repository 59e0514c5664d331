"""The benchmarks as nox starts them, on the tiny recipe: what they leave, how it is read, and how they take turns."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.conftest import _of_a_step, groups
from benchmarks.steps import GROUP, SETTLE, spread_batches
from benchmarks.turns import Ended, Turn
from benchmarks.worker import BENCHMARKS
from repro.benchfiles import newest, read_benchmarks
from repro.errors import NotComparableError
from repro.regression.workers import WARM_UP, Round, Worker, interleave
from tests.files import entry, save_benchmarks

ROOT = Path(__file__).parents[1]


def benchmark(
    results: Path, *options: str, selected: str = "benchmarks/test_reproduction.py"
) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "pytest", selected, "-q", "-p", "no:cacheprovider",
        f"--results={results}", "--recipe=tiny", "--corpus=rehearsal", "--limit=64",
        f"--benchmark-json={results}/benchmark.json", *options,
    ]  # fmt: skip
    # pytest-benchmark measures nothing in a worker of pytest-xdist
    alone = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=alone)


def test_a_round_is_a_seed_with_its_scores_beside_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = {"HF_TOKEN": "hf_plantedplanted", "USER": "jane.planted", "LOGNAME": "jane.planted"}
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    done = benchmark(tmp_path, "--seeds=0-1", "-k=finetune or linear")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "benchmark.json").read_text()
    assert not [secret for secret in (*planted.values(), str(tmp_path), str(ROOT)) if secret in text]
    saved = json.loads(text)
    by_name = {entry["name"]: entry for entry in saved["benchmarks"]}
    finetune = by_name["test_section[finetune]"]
    assert finetune["stats"]["rounds"] == 2
    assert finetune["extra_info"]["seeds"] == [0, 1]
    records = sorted((tmp_path / "runs" / "rehearsal" / "tiny" / "finetune").glob("*.json"))
    written = [json.loads(path.read_text())["scores"]["test"]["accuracy"] for path in records]
    assert sorted(scores["test"]["accuracy"] for scores in finetune["extra_info"]["scores"]) == sorted(written)
    assert by_name["test_section[linear]"]["stats"]["rounds"] == 1  # seeds do not matter to it
    machine = saved["machine_info"]
    assert "node" not in machine
    assert machine["accelerator"] is None
    assert machine["libraries"]["transformers"]


def test_one_selected_id_measures_one_variant_and_compares(tmp_path: Path) -> None:
    storage = f"--benchmark-storage=file://{tmp_path}/saved"
    options = storage, "--benchmark-autosave", "--benchmark-save-data", "--benchmark-compare", "--device=cpu"
    done = benchmark(tmp_path, *options, selected="benchmarks/test_speed.py::test_growth[tweets-1000]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Can't compare" in done.stdout + done.stderr  # nothing is saved yet
    [saved] = newest(read_benchmarks(tmp_path / "saved"))
    assert (saved.name, len(saved.rounds)) == ("test_growth[tweets-1000]", 6)
    assert saved.setup["precision"] in {"fp32", "bf16"}
    command = [str(Path(sys.executable).with_name("pytest-benchmark")), storage.replace("benchmark-", ""), "compare"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("test_growth[tweets-1000]")) == (0, 1), done.stderr


def test_what_cannot_run_stops_at_once_with_exit_code_2(tmp_path: Path) -> None:
    done = benchmark(tmp_path, "--recipe=minilm", "--checkpoints=nowhere")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no checkpoints folder nowhere" in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.json"))


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
    measured = entry("test_step[a]", rounds, group="steps", file=path.stem, **extra)
    return save_benchmarks(path, measured, day=f"2026-01-0{day}", gpu=gpu)


def test_setup_and_facts_are_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path / "1.json", 1, gpu="T4", device="cpu", **SETUP, pieces=[5, 7], unit="step", gone=None)
    [benchmark] = read_benchmarks(file)
    assert benchmark.setup == {"device": "cpu", **SETUP, "limit": "64"}
    assert (benchmark.series("pieces"), benchmark.series("unit")) == ([5.0, 7.0], [])
    assert (benchmark.number("pieces"), benchmark.number("unit")) == (5.0, None)
    assert (benchmark.median, benchmark.commit, benchmark.dirty) == (1.5, "abc", True)
    assert (benchmark.accelerator, benchmark.gpu) == (None, "T4")
    assert read_benchmarks(tmp_path / "nowhere") == []


def test_the_newest_is_that_of_each_setup_and_accelerator_whatever_file_it_stands_in(tmp_path: Path) -> None:
    write(tmp_path / "1.json", 3, rounds=(3.0,), **SETUP)
    write(tmp_path / "2.json", 1, rounds=(1.0,), **SETUP)
    write(tmp_path / "3.json", 2, rounds=(2.0,), **{**SETUP, "batching": "dynamic"})
    write(tmp_path / "4.json", 4, rounds=(4.0,), gpu="H200", **SETUP)
    assert [b.rounds for b in newest(read_benchmarks(tmp_path))] == [(2.0,), (3.0,), (4.0,)]


def turn(rounds: int, **options: int) -> tuple[Turn, list[Any]]:
    requests, answers = iter([{"round": True}] * rounds + [{"stop": True}]), list[Any]()
    return Turn(lambda: next(requests), answers.append, **options), answers


def test_a_step_to_settle_is_in_no_round() -> None:
    steps, answers = turn(1, settle=1)
    steps.begin()
    steps._started -= 1_000  # as long as preparation and the first step took
    steps.done(step=1)
    assert answers == []
    with pytest.raises(Ended):
        steps.done(step=2)
    assert answers[0]["facts"] == {"step": 2}
    assert answers[0]["seconds"] < 1_000


def test_a_round_of_several_steps_adds_up_what_they_say() -> None:
    steps, answers = turn(2, repeat=3)
    steps.begin()
    for rows in (1, 2, 4, 8, 16):
        steps.done(rows=rows)
    with pytest.raises(Ended):
        steps.done(rows=32)
    assert [answer["facts"]["rows"] for answer in answers] == [7, 56]


def test_timed_batches_lie_evenly_over_a_group_each_behind_its_neighbour() -> None:
    taken = spread_batches(10)[WARM_UP * (SETTLE + 1) :]
    assert taken[1::2] == [2, 7, 12, 17, 22, 27, 32, 37, 42, 47]
    assert taken[0::2] == [number - 1 for number in taken[1::2]]
    assert max(spread_batches(GROUP)) == GROUP - 1
    windows = spread_batches(5, 20)[WARM_UP * (SETTLE + 20) :]
    assert [windows[i : i + 21] for i in range(0, 105, 21)] == [
        list(range(at - 1, at + 20)) for at in (3, 9, 15, 21, 27)
    ]


def test_a_gpu_is_waited_for_where_the_clock_is_read() -> None:
    steps, _ = turn(2, repeat=3)
    steps.begin()
    read = []
    for _ in range(5):
        read.append(steps.at_reading)
        steps.done()
    assert read == [False, False, True, False, False]  # no step before each round here
    [averaged] = [_of_a_step(Round(seconds=6.0, facts={"pieces": 9.0, "gpu_peak_mib": 3.0}, peak_mib=1.0), 3)]
    assert (averaged.seconds, averaged.facts) == (2.0, {"pieces": 3.0, "gpu_peak_mib": 3.0})


@pytest.mark.parametrize(
    ("at_once", "expected"),
    [
        (8, [["packed-bf16", "trainer-bf16", "packed-fp32", "trainer-fp32"]]),
        (2, [["packed-bf16", "trainer-bf16"], ["packed-fp32", "trainer-fp32"]]),
        (0, [["packed-bf16"], ["trainer-bf16"], ["packed-fp32"], ["trainer-fp32"]]),
    ],
)
def test_so_many_variants_take_turns_as_the_memory_holds(at_once: int, expected: list[list[str]]) -> None:
    assert groups(["packed-bf16", "packed-fp32", "trainer-bf16", "trainer-fp32"], at_once) == expected


def test_two_workers_take_the_same_rows_and_one_that_fails_says_why() -> None:
    with ExitStack() as stack:
        workers = {name: stack.enter_context(closing(Worker(name, ROOT, sys.executable))) for name in ("one", "other")}
        for worker in workers.values():
            assert worker.benchmarks() == list(BENCHMARKS)
        work = {"one": "step[tiny-packed]", "other": "step[tiny-dynamic]"}
        rounds = interleave(workers, work, 2, order=random.Random(0))  # noqa: S311
        rows = {name: [r.facts["rows"] for r in timed] for name, timed in rounds.items()}
        assert rows["one"] == rows["other"]
        assert len(set(rows["one"])) == 2
        again = interleave(workers, dict.fromkeys(workers, "step[tiny-packed]"), 2, order=random.Random(1))  # noqa: S311
        assert [r.facts["rows"] for r in again["other"]] == rows["one"]  # a benchmark that was stopped starts anew
        workers["one"].send(start={"work": "benchmarks.nowhere:work"})
        with pytest.raises(NotComparableError, match=r"one ended early, exit code 1: ModuleNotFoundError.*nowhere"):
            workers["one"].answer()
