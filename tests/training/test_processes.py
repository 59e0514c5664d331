"""Several processes: the same training, every row once, seeds spread, and an end in bounded time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from typer.testing import CliRunner

from benchmarks.processes import ROOT, finish, launches, start
from repro.cli import app
from repro.errors import ProcessLostError, UsageError
from repro.records.record import RunRecord, read_records
from repro.training.processes import TORCHRUN, check_processes, find_place, leave_group, wait_time, watched
from repro.training.randomness import process_seed

Worlds = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TORCHRUN, "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """What worlds of 1, 2 and 4 processes hold of the same trainings, and the end of one that lost a process."""
    folder = tmp_path_factory.mktemp("worlds")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("worlds.py")), str(folder)],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: Worlds = {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}
    found["stderr"] = done.stderr
    return found


@pytest.mark.parametrize("processes", ["2", "4"])
@pytest.mark.parametrize("batching", ["packed", "dynamic"])
def test_processes_train_as_one_and_count_every_row_once(worlds: Worlds, processes: str, batching: str) -> None:
    assert worlds["codes"][processes] == [0] * int(processes), worlds["stderr"][-3000:]
    name = f"tiny, {batching}, dropout off"
    one, several = worlds["1"][name], worlds[processes][name]
    assert (one["processes"], several["processes"]) == (1, int(processes))
    assert several["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert several["row_losses"] == pytest.approx(one["row_losses"], abs=1e-5)
    assert several["predictions"] == one["predictions"]


def test_fewer_rows_than_processes_are_scored_once_each(worlds: Worlds) -> None:
    for processes in ("2", "4"):
        for name, found in worlds[processes].items():
            assert found["few"] == pytest.approx(worlds["1"][name]["few"], abs=1e-5)
            assert len(found["few"]) == 1


def test_a_killed_process_ends_the_others_with_an_error_of_their_own(worlds: Worlds) -> None:
    assert worlds["codes"]["killed"] == [1, -signal.SIGKILL]
    told = worlds["killed"]
    assert "one of 2 processes ended or no longer answers" in told["error"]
    assert "start the same command again" in told["error"]
    assert told["exit_code"] == ProcessLostError.exit_code
    assert told["seconds"] < 60  # not the half hour for which a process waits that only works alone


RUN = ["repro", "run", "finetune", "inference", "--recipe=tiny", "--corpus=rehearsal", "--limit=96", "--epochs=20"]


@pytest.fixture(scope="module")
def on_two_machines(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[int, str]], list[RunRecord]]:
    """Exit code and output of each of two launches that make one run, and its records."""
    results = tmp_path_factory.mktemp("machines")
    ended = finish(start(launches(2, machines=2), [*RUN, "--device=cpu", f"--results={results}"]))
    return ended, read_records(results)


def test_two_machines_run_the_command_and_one_record_is_written(
    on_two_machines: tuple[list[tuple[int, str]], list[RunRecord]],
) -> None:
    ended, records = on_two_machines
    assert [code for code, _ in ended] == [0, 0], ended
    assert sorted(record.experiment for record in records) == ["finetune", "inference"]
    assert next(r for r in records if r.experiment == "finetune").facts["processes"] == 2
    assert ["finetune, seed 0" in output for _, output in ended].count(True) == 1


def test_a_run_that_lost_a_process_is_gone_on_with_to_the_same_record(
    on_two_machines: tuple[list[tuple[int, str]], list[RunRecord]], tmp_path: Path
) -> None:
    command = [*RUN, "--device=cpu", f"--results={tmp_path}", "--save-every=2"]
    begun = start(launches(2), command)
    _wait_for_a_state(tmp_path, begun[0])
    kill_one_worker(begun[0].pid)
    [(code, output)] = finish(begun, timeout=120)
    assert code != 0, output
    assert not (tmp_path / "runs").exists() or read_records(tmp_path) == []
    [(code, output)] = finish(start(launches(2), command))
    assert code == 0, output
    assert output.count("going on with finetune, seed 0, after step") == 1
    found = {record.experiment: record for record in read_records(tmp_path)}
    expected = {record.experiment: record for record in on_two_machines[1]}
    assert found["finetune"].facts["resumed_after_steps"]
    for name in ("finetune", "inference"):
        assert without_ways(identical(found[name])) == without_ways(identical(expected[name]))


def _wait_for_a_state(results: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if list(results.glob("unfinished/*/step-*")):
            return
        assert process.poll() is None, "it ended before it saved a state"
        time.sleep(0.05)
    raise AssertionError("no state was saved within a minute")


def kill_one_worker(launcher: int) -> None:
    workers = [child for child in psutil.Process(launcher).children() if "repro" in child.cmdline()]
    assert len(workers) == 2
    workers[-1].kill()


def without_ways(found: tuple[Any, ...]) -> dict[str, Any]:
    held: dict[str, Any] = found[2]
    facts = {name: value for name, value in held["facts"].items() if name != "resumed_after_steps"}
    return {**held, "facts": facts}


def spread(monkeypatch: pytest.MonkeyPatch, results: Path, launched: dict[str, str], *options: str) -> Any:
    names = ["token-facts", "finetune", "inference"]
    run = ["run", *names, "--recipe=tiny", "--corpus=rehearsal", "--limit=96", "--device=cpu", "--seeds=0-2"]
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, [*run, f"--results={results}", *options])


def identical(record: RunRecord) -> tuple[Any, ...]:
    held = record.model_dump(exclude={"seconds", "provenance", "peak_mib"})
    for epoch in held["epochs"]:
        del epoch["train_seconds"], epoch["tweets_per_second"]
    return record.experiment, record.settings.seed, held


def by_run(results: Path) -> list[tuple[Any, ...]]:
    return sorted((identical(record) for record in read_records(results)), key=lambda found: found[:2])


def test_seeds_spread_over_processes_leave_the_records_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert spread(monkeypatch, alone, {}).exit_code == 0
    # without a group a process needs no other one: they may as well run one after the other
    first = spread(monkeypatch, together, {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "--spread=seeds")
    assert first.exit_code == 0, first.output
    seeds = {(experiment, seed) for experiment, seed, _ in by_run(together)}
    assert seeds == {(e, s) for e in ("finetune", "inference") for s in (0, 2)} | {("token-facts", 0)}
    slurm = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "0"}
    assert spread(monkeypatch, together, slurm, "--spread=seeds").exit_code == 0
    assert by_run(together) == by_run(alone)


def test_more_processes_than_seeds_leave_some_with_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = spread(monkeypatch, tmp_path, {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "3"}, "--spread=seeds")
    assert done.exit_code == 0
    assert read_records(tmp_path) == []


@pytest.mark.parametrize(
    ("launched", "options", "told"),
    [
        ({"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}, (), "3 processes: the global batch of 64 rows"),
        ({"RANK": "0", "WORLD_SIZE": "128", "LOCAL_RANK": "0"}, (), "Start 1, 2, 4, 8, 16, 32 or 64"),
        ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, (), "expected a process's number below their count"),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, (), "each would run everything"),
        ({}, ("--spread=seeds",), "one process alone"),
        ({}, ("--spread=rows",), "unknown spread 'rows'"),
        ({"REPRO_WAIT_SECONDS": "soon"}, (), "whole number of seconds"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_runs(
    launched: dict[str, str], options: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = spread(monkeypatch, tmp_path, launched, *options)
    assert isinstance(refused.exception, UsageError)
    assert told in str(refused.exception)
    assert not list(tmp_path.rglob("*.json"))


def test_a_batch_script_is_one_process_though_its_job_has_many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert check_processes(64) == 1
    with pytest.raises(UsageError, match="one process alone"):
        leave_group()


def test_who_leaves_the_group_has_one_gpu_of_the_visible_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    for name, value in zip(TORCHRUN, ("3", "4", "3"), strict=True):
        monkeypatch.setenv(name, value)
    place = leave_group()
    assert (place.number, place.count, place.share([5, 6, 7, 8, 9])) == (3, 4, [8])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert find_place() is None


def test_errors_that_no_lost_process_explains_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="shape"), watched(4):
        raise RuntimeError("shape mismatch")
    with pytest.raises(RuntimeError, match="gloo"), watched(1):
        raise RuntimeError("gloo: connection closed by peer")
    with pytest.raises(ProcessLostError, match="4 processes"), watched(4):
        raise RuntimeError("[/x/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.1]:31234")
    monkeypatch.setenv("REPRO_WAIT_SECONDS", "90")
    assert wait_time().total_seconds() == 90


def test_each_process_draws_dropout_of_its_own() -> None:
    drawn = []
    for process in range(3):
        torch.manual_seed(process_seed(0, process))
        drawn.append(torch.empty(4, dtype=torch.int64).random_())
    assert process_seed(7, 0) == 7  # one process is as it was
    assert not any(torch.equal(drawn[a], drawn[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
