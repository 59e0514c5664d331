"""Fetching from a Hub: what came is checked, what may pass is tried again, what lasts is explained in bounded time.

What is to fail by the clock runs with the bounds of users divided by thirty.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from huggingface_hub import constants

from repro.assets import watch
from repro.assets.checkpoints import Checkpoint, locate_checkpoint
from repro.assets.watch import Bounds
from repro.errors import CheckpointError
from tests.assets.conftest import COMMIT, FILES, NAME, QUICK, SMALL, WEIGHTS
from tests.assets.hub_server import STALL, Fault, HubServer, Repository
from tests.running import cases


def refused() -> str:
    """What is said of a checkpoint that is not available: one line, and a line of ways out."""
    with pytest.raises(CheckpointError) as error:
        locate_checkpoint(SMALL)
    assert "\n" not in error.value.what
    assert "--checkpoints DIR" in error.value.remedy
    return error.value.what


def weights(found: Checkpoint) -> bytes:
    return (found.folder / "model.safetensors").read_bytes()


def test_a_checkpoint_comes_whole_and_the_second_time_out_of_the_cache(hub: HubServer) -> None:
    found = locate_checkpoint(SMALL)
    assert (found.source, found.folder.name) == ("the Hub", COMMIT)
    assert weights(found) == WEIGHTS
    names = sorted(file.name for file in found.folder.iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]  # no pickle is so much as fetched
    asked = len(hub.asked)
    assert locate_checkpoint(SMALL) == found
    assert len(hub.asked) == asked


def test_a_token_goes_to_the_hub_and_not_to_where_it_stores_its_files(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    locate_checkpoint(SMALL)
    assert {asked.token for asked in hub.asked if asked.origin == "hub"} == {"Bearer hf_planted"}
    assert [asked.token for asked in hub.asked if asked.origin == "cdn"] == [None]


def test_a_branch_is_followed_and_its_last_state_stands_in_for_the_hub(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = replace(SMALL, revision="main", sha256={})
    assert locate_checkpoint(moving).folder.name == COMMIT
    hub.repositories["model", NAME] = Repository(commit="6" * 40, files={**FILES, "tokenizer.json": b"{ }"})
    assert locate_checkpoint(moving).folder.name == "6" * 40
    hub.fault("", Fault(503))
    kept = locate_checkpoint(moving)
    assert (kept.folder.name, kept.source) == ("6" * 40, "the Hub's local cache")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert locate_checkpoint(moving) == kept


@pytest.mark.parametrize(
    ("where", "code"),
    [("GET /api", 500), ("HEAD .*config", 503), ("GET .*config", 429), ("GET /stored", 500)],
)
def test_a_passing_fault_is_tried_again_wherever_it_is_met(hub: HubServer, where: str, code: int) -> None:
    hub.fault(where, Fault(code), times=2)
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS


def test_a_process_waits_for_a_silent_hub_only_so_long_in_all(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BOUNDS", QUICK)
    hub.fault("", STALL)
    started = time.monotonic()
    for _ in range(4):
        refused()
    assert time.monotonic() - started < QUICK.command_seconds + 2 * QUICK.asset_seconds
    asked = len(hub.asked)
    assert "and was not asked again" in refused()
    assert len(hub.asked) == asked


def test_a_slow_download_that_makes_progress_outlasts_the_deadline(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BOUNDS", replace(QUICK, asset_seconds=2, answer_seconds=5))
    hub.fault("GET /stored", Fault(piece=len(WEIGHTS) // 20, seconds=0.25))
    started = time.monotonic()
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS
    assert time.monotonic() - started >= 2 * 2


@pytest.mark.parametrize("end", ["hang up", "reset"])
def test_a_connection_cut_in_the_middle_goes_on_where_it_was(hub: HubServer, end: Literal["hang up", "reset"]) -> None:
    hub.fault("GET /stored", Fault(stop=11_000_000, then=end), times=1)
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS
    ranges = [asked.range for asked in hub.asked if asked.path.startswith("/stored") and asked.method == "GET"]
    assert ranges == [None, f"bytes={10 * 2**20}-"]  # the second asks for the 1.5 MB that were missing, of 12


def test_other_bytes_under_the_right_name_are_refused_and_do_not_stay(hub: HubServer, tmp_path: Path) -> None:
    changed = bytes([*WEIGHTS[:-1], WEIGHTS[-1] ^ 1])
    hub.fault("GET /stored", Fault(body=changed), times=1)
    assert "other bytes came, or lay in the Hub's local cache, than the Hub lists for model.safetensors" in refused()
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.stat().st_size == len(WEIGHTS)]
    assert kept == []
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS


def test_a_byte_that_flips_in_the_cache_is_found_and_the_file_fetched_again(hub: HubServer) -> None:
    file = locate_checkpoint(SMALL).folder / "tokenizer.json"  # of which the recipe pins no hash
    file.write_bytes(b"[]")
    assert "lists for tokenizer.json; they were removed" in refused()
    assert (locate_checkpoint(SMALL).folder / "tokenizer.json").read_bytes() == b"{}"


def test_a_link_in_the_cache_whose_content_is_gone_is_passed_over(hub: HubServer) -> None:
    complete = locate_checkpoint(SMALL)
    (complete.folder / "another.json").symlink_to(f"../../blobs/{'a' * 64}")
    assert locate_checkpoint(SMALL) == complete


def test_a_pickle_alone_is_refused_without_being_fetched(hub: HubServer) -> None:
    files = {name: content for name, content in FILES.items() if name != "model.safetensors"}
    hub.repositories["model", NAME] = Repository(commit=COMMIT, files=files)
    with pytest.raises(CheckpointError, match=r"expected the weights as model\.safetensors, found none"):
        locate_checkpoint(SMALL)
    assert hub.count("pytorch_model") == 0


def fault_of(case: dict[str, str]) -> Fault:
    """The fault of a case; a text stands for its bytes, `times` over or for as many as the Hub lists of the weights."""
    fields = json.loads(case["fault"])
    times = fields.pop("times", 1)
    for name in fields.keys() & {"body", "raw"}:
        fields[name] = fields[name].encode() * (len(WEIGHTS) if times == "as listed" else times)
    return Fault(**fields)


@pytest.mark.parametrize("case", cases("assets/hub_faults.csv"), ids=lambda case: f"{case['request']}-{case['name']}")
def test_a_lasting_fault_is_answered_soon_and_explained(
    case: dict[str, str], hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "BOUNDS", replace(QUICK, largest_listing=10**6, largest_file=2 * len(WEIGHTS)))
    hub.fault(case["request"], fault := fault_of(case))
    started = time.monotonic()
    what = refused()
    assert time.monotonic() - started < 2 * QUICK.asset_seconds + 1
    assert fault.status not in (401, 403) or len(hub.asked) == 1  # a final answer is not asked for again
    assert "someone/small is not available" in what
    assert case["cause"] in what
    assert "cache" in what
    halves = [file for file in (tmp_path / "cache").rglob("*.incomplete") if file.stat().st_size > 10_000]
    assert halves == []


def test_the_bounds_of_users_end_a_command_within_120_seconds() -> None:
    assert Bounds().command_seconds + Bounds().answer_seconds < 120
