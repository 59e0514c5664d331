"""Several processes: one training, every row once, one record after one was lost, an end in bounded time; memory."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.load import write_corpus
from repro.errors import ProcessLostError, UsageError
from repro.records.schema import RunRecord
from repro.records.store import read_records
from repro.sections.runner import open_context
from repro.spec import RunSpec
from repro.training.device import process_seed, wait_time, watched
from tests.running import result_of, run_module

BYTES_A_ROW = 1_000  # two million rows within 3 GiB leave 1,200 beside the libraries


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


class Worlds:
    """What worlds of 1, 2 and 4 processes hold of the same trainings, and how each ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: dict[str, tuple[list[int], float]] = json.loads((folder / "ended.json").read_text())

    def trained(self, world: str, batching: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / f"{world}.json").read_text())[batching])

    def said(self, world: str, rank: int = 0) -> str:
        return (self.folder / f"{world}.{rank}").read_text()

    def records(self, results: str) -> dict[str, RunRecord]:
        return {record.experiment: record for record in read_records(self.folder / results)}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    folder = tmp_path_factory.mktemp("worlds")
    run_module("tests.training.worlds", folder)
    return Worlds(folder)


@pytest.mark.parametrize("processes", ["2", "4"])
@pytest.mark.parametrize("batching", ["packed", "dynamic"])
def test_processes_train_as_one_and_count_every_row_once(worlds: Worlds, processes: str, batching: str) -> None:
    assert worlds.ended[processes][0] == [0] * int(processes), worlds.said(processes)[-3000:]
    one, several = (worlds.trained(world, batching) for world in ("1", processes))
    assert (one["processes"], several["processes"]) == (1, int(processes))
    assert several["predictions"] == one["predictions"]
    for losses in ("losses", "row_losses", "few"):  # `few` are fewer rows than processes
        assert several[losses] == pytest.approx(one[losses], abs=1e-5)
    assert len(several["few"]) == 1


def test_two_processes_run_the_command_and_write_one_record(worlds: Worlds) -> None:
    assert worlds.ended["whole"][0] == [0, 0], worlds.said("whole")
    records = worlds.records("whole")
    assert sorted(records) == ["finetune", "inference"]
    assert records["finetune"].facts["processes"] == 2
    assert ["finetune, seed 0" in worlds.said("whole", rank) for rank in (0, 1)] == [True, False]


def test_a_killed_process_ends_the_others_with_an_error_of_their_own(worlds: Worlds) -> None:
    codes, seconds = worlds.ended["killed"]
    assert codes == [ProcessLostError.exit_code, -signal.SIGKILL], worlds.said("killed")
    assert "one of 2 processes ended or no longer answers" in worlds.said("killed")
    assert "start the same command again" in worlds.said("killed")
    assert seconds < 120  # not the half hour for which a process waits that only works alone


def test_a_run_that_lost_a_process_is_resumed_to_the_same_record(worlds: Worlds) -> None:
    assert worlds.ended["resumed"][0] == [0, 0], worlds.said("resumed")
    assert worlds.said("resumed").count("resuming finetune, seed 0 after step 4 of 8") == 1
    resumed, whole = worlds.records("lost"), worlds.records("whole")
    assert resumed["finetune"].facts["resumed_after_steps"] == [4]
    for name in ("finetune", "inference"):
        assert result_of(resumed[name]) == result_of(whole[name])


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "0", "WORLD_SIZE": "3"}, "3 processes: the global batch of 64 rows"),
        ({"RANK": "0", "WORLD_SIZE": "128"}, "Start 1, 2, 4, 8, 16, 32 or 64"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "expected a process's number below their count"),
        ({"RANK": "0", "WORLD_SIZE": "two"}, "expected a process's number below their count"),
        ({"REPRO_WAIT_SECONDS": "soon"}, "whole number of seconds"),
    ],
)
def test_a_launch_that_cannot_share_the_batch_is_refused_before_it_starts(
    environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message):
        open_context(RunSpec(recipe="tiny", corpus="rehearsal"))


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


def test_memory_grows_by_what_a_row_needs_in_arrow_and_pieces(tmp_path: Path) -> None:
    sizes = (20_000, 70_000)  # several chunks each: the first ones also fill what is used again
    folders = [tmp_path / str(size) for size in sizes]
    for size, folder in zip(sizes, folders, strict=True):
        write_corpus("rehearsal", folder, size)
    small, large = json.loads(run_module("benchmarks.load", "peak", *folders))
    assert (large - small) * 2**20 / (sizes[1] - sizes[0]) < BYTES_A_ROW
