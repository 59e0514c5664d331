"""A Hub that misbehaves: what came is checked, what can be mended is tried again, and nothing waits for ever."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants, get_session
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
from safetensors.numpy import save

from repro.assets import patience
from repro.assets.checkpoints import Checkpoint, locate_checkpoint
from repro.errors import CheckpointError
from tests.assets.conftest import COMMIT, FILES, NAME, QUICK, SMALL, WEIGHTS
from tests.assets.hub_faults import cut_after, other_body, stall, status, trickle
from tests.assets.hub_server import HubServer, Repository


def refused() -> str:
    """What is told of a checkpoint that cannot be had; it is one line and a line of ways out, soon."""
    begun = time.monotonic()
    with pytest.raises(CheckpointError) as told:
        locate_checkpoint(SMALL)
    assert time.monotonic() - begun < 20  # not how fast it is, but that it ends
    assert "\n" not in told.value.what
    assert "--checkpoints DIR" in told.value.remedy
    return told.value.what


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


def test_a_repository_that_was_renamed_is_followed(hub: HubServer) -> None:
    hub.repositories["model", "org/small"] = hub.repositories.pop(("model", NAME))
    hub.renamed[NAME] = "org/small"
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS


@pytest.mark.parametrize(
    ("code", "told"),
    [(401, "answers 401, it is not there, or not for you: a token"), (404, "answers 404"), (403, "answers 403")],
)
def test_an_answer_that_is_final_is_not_asked_for_again(hub: HubServer, code: int, told: str) -> None:
    hub.fault("/api/", status(code))
    assert told in refused()
    assert len(hub.asked) == 1


def test_a_file_that_is_listed_and_missing_is_told(hub: HubServer) -> None:
    hub.fault("HEAD .*tokenizer.json", status(404, X_Error_Code="EntryNotFound"))
    assert "a file that it lists is not there; its local cache holds a part of it only" in refused()


def test_a_pinned_revision_that_is_gone_is_told_and_nothing_else_is_taken(hub: HubServer) -> None:
    hub.repositories["model", NAME] = Repository(commit="6" * 40, files=FILES)
    assert "someone/small cannot be had here (the Hub, asked for revision 555555555555: it answers 404" in (
        told := refused()
    )
    assert "the revision is not there, or no longer" in told
    assert len(hub.asked) == 1


def test_a_branch_that_moved_is_followed_and_its_last_state_stands_in_where_the_hub_fails(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = replace(SMALL, revision="main", sha256={})
    assert locate_checkpoint(moving).folder.name == COMMIT
    hub.repositories["model", NAME] = Repository(commit="6" * 40, files={**FILES, "tokenizer.json": b"{ }"})
    assert locate_checkpoint(moving).folder.name == "6" * 40
    hub.fault("", status(503))
    kept = locate_checkpoint(moving)
    assert (kept.folder.name, kept.source) == ("6" * 40, "the Hub's local cache")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert locate_checkpoint(moving) == kept


@pytest.mark.parametrize(
    ("where", "code"),
    [("GET /api", 500), ("HEAD .*config", 503), ("GET .*config", 429), ("GET /stored", 500), ("GET /stored", 408)],
)
def test_a_passing_fault_is_tried_again_wherever_it_is_met(hub: HubServer, where: str, code: int) -> None:
    hub.fault(where, status(code), times=2)
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS


@pytest.mark.parametrize("where", ["GET /api", "HEAD .*config", "GET .*config", "GET /stored"])
def test_a_lasting_fault_is_tried_four_times_and_told(hub: HubServer, where: str) -> None:
    hub.fault(where, status(500))
    assert "it answers 500, tried 4 times; its local cache" in refused()
    assert hub.count(where) == 4


def test_the_hubs_retry_after_is_waited_for(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("repro.assets.patience.time.sleep", slept.append)
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1.5), usegmt=True)
    for headers in ({"Retry_After": "2"}, {"RateLimit": '"api";r=0;t=1'}, {"Retry_After": soon}, {"Retry_After": "?"}):
        hub.fault("GET /api", status(429, **headers), times=1)
        with patience.patient_hub():
            get_session().get(f"{hub.endpoint}/api/models/{NAME}").raise_for_status()
    assert slept[:2] == [2, 1]
    assert 0 <= slept[2] <= 2
    assert slept[3] == QUICK.first_wait_seconds


def test_a_hub_that_asks_to_wait_for_an_hour_is_not_waited_for(hub: HubServer) -> None:
    hub.fault("GET /stored", status(429, Retry_After="3600"))
    assert "it answers 429 and asks to wait 3,600 seconds" in refused()
    assert hub.count("GET /stored") == 1


@pytest.mark.parametrize("where", ["GET /api", "HEAD .*config", "GET .*config", "GET /stored"])
def test_a_hub_that_says_nothing_is_left_after_four_time_outs(hub: HubServer, where: str) -> None:
    hub.fault(where, stall)
    assert "no answer within 0.2 seconds, tried 4 times" in refused()


def test_a_hub_that_did_not_answer_is_not_waited_for_again_at_once(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fault("GET /api", stall, times=4)
    refused()
    assert "the Hub did not answer a moment ago, and was not asked again" in refused()
    assert len(hub.asked) == 4
    monkeypatch.setattr("repro.assets.hub.SILENT_SECONDS", 0.0)
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS


def test_a_download_that_only_trickles_ends(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.fault("GET /stored", trickle(0.05))
    assert "bytes in 0 seconds" in refused()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_connection_cut_in_the_middle_goes_on_where_it_was(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, reset: bool
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr(patience, "PATIENCE", replace(QUICK, answer_seconds=10))
    hub.fault("GET /stored", cut_after(11_000_000, reset=reset), times=1)
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS
    ranges = [asked.range for asked in hub.asked if asked.path.startswith("/stored") and asked.method == "GET"]
    assert ranges == [None, f"bytes={10 * 2**20}-"]  # the second asks for the 1.5 MB that were missing, of 12


def test_a_connection_that_is_always_cut_ends_and_leaves_nothing_half_behind(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.fault("GET /stored", cut_after(1000))
    assert "peer closed connection" in refused()
    assert hub.count("GET /stored") == 6
    blobs = [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.stat().st_size > 10_000]
    assert blobs == []


def test_other_bytes_under_the_right_name_are_refused_and_do_not_stay(hub: HubServer, tmp_path: Path) -> None:
    changed = bytes([*WEIGHTS[:-1], WEIGHTS[-1] ^ 1])
    hub.fault("GET /stored", other_body(changed), times=1)
    assert "other bytes came, or lay in the Hub's local cache, than the Hub lists for model.safetensors" in refused()
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.stat().st_size == len(WEIGHTS)]
    assert kept == []
    assert weights(locate_checkpoint(SMALL)) == WEIGHTS


def test_a_page_in_place_of_a_file_is_refused(hub: HubServer) -> None:
    hub.fault("GET .*config", other_body(b"<html>log in</html>"))
    assert "size" in refused()


def test_a_hub_whose_own_listing_is_of_other_weights_is_refused_by_the_recipes_hash(hub: HubServer) -> None:
    other = save({"weight": np.zeros(10, dtype=np.float32)})
    hub.repositories["model", NAME] = Repository(commit=COMMIT, files={**FILES, "model.safetensors": other})
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not that of someone/small at revision 5555"):
        locate_checkpoint(SMALL)
    assert not list(Path(constants.HF_HUB_CACHE).rglob("model.safetensors"))


def test_a_byte_that_flips_in_the_cache_is_found_and_the_file_fetched_again(hub: HubServer) -> None:
    file = locate_checkpoint(SMALL).folder / "tokenizer.json"  # of which the recipe pins no hash
    file.write_bytes(b"[]")
    assert "lists for tokenizer.json; they were removed" in refused()
    assert (locate_checkpoint(SMALL).folder / "tokenizer.json").read_bytes() == b"{}"


def test_offline_a_warm_cache_does_and_a_cold_one_tells_every_way(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = locate_checkpoint(SMALL)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.asked)
    kept = locate_checkpoint(SMALL)
    assert (kept.source, kept.weights_sha256) == ("the Hub's local cache", found.weights_sha256)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cold"))
    assert "(HF_HUB_OFFLINE is set; its local cache does not hold it)" in refused()
    assert len(hub.asked) == asked


def test_a_hub_that_went_away_is_told_as_such(hub: HubServer) -> None:
    for server in hub.servers:
        server.shutdown()
        server.server_close()
    assert "no connection (" in refused()


def test_a_pickle_alone_is_refused_without_being_fetched(hub: HubServer) -> None:
    files = {name: content for name, content in FILES.items() if name != "model.safetensors"}
    hub.repositories["model", NAME] = Repository(commit=COMMIT, files=files)
    with pytest.raises(CheckpointError, match=r"expected the weights as model\.safetensors, found none"):
        locate_checkpoint(SMALL)
    assert hub.count("pytorch_model") == 0


def test_bars_are_for_people_and_not_for_ci(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, ci, silent in ((True, "", False), (True, "true", True), (False, "", True)):
        monkeypatch.setenv("CI", ci)
        monkeypatch.setattr("sys.stderr.isatty", lambda answer=terminal: answer)
        with patience.patient_hub():
            assert are_progress_bars_disabled() is silent
        assert not are_progress_bars_disabled()
