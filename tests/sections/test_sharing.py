"""Sharing: what the stamp names is sent and nothing else, asked for, private, and never over another model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory
from typer.testing import CliRunner

from repro.assets import watch
from repro.cli import app
from repro.errors import CheckpointError, HubError, UsageError
from repro.sections.models import STAMP, read_stamp
from repro.sections.sharing import files_to_share, push_model
from tests.assets.conftest import QUICK, use_hub
from tests.assets.hub_server import STALL, Fault, HubServer, Repository

NAME = "someone/model"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own uploads


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """An empty Hub that a logged-in client pushes to."""
    with HubServer() as server:
        use_hub(server, monkeypatch, tmp_path)
        monkeypatch.setenv("HF_TOKEN", "hf_planted")
        yield server
    set_client_factory(default_client_factory)


def pushed(hub: HubServer) -> Repository:
    return hub.repositories["model", NAME]


def test_the_named_files_and_no_others_arrive_in_a_private_repository(hub: HubServer, saved: Path) -> None:
    (saved / ".secret.json").write_text("{}")
    (saved / "optimizer.pt").write_bytes(b"pickle")
    assert push_model(saved, NAME).endswith(NAME)
    sent = {name: content for name, content in pushed(hub).files.items() if name != ".gitattributes"}
    assert sent == {name: (saved / name).read_bytes() for name in (*read_stamp(saved).files, STAMP)}
    assert pushed(hub).private
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", STAMP} <= sent.keys()


def test_a_public_repository_is_made_only_where_it_was_asked_for(hub: HubServer, saved: Path) -> None:
    push_model(saved, NAME, public=True)
    assert not pushed(hub).private
    with pytest.raises(UsageError, match="someone/model is public"):
        push_model(saved, NAME)


def test_the_same_model_is_pushed_again_and_another_one_refused(hub: HubServer, saved: Path) -> None:
    push_model(saved, NAME)
    push_model(saved, NAME)
    other = json.loads(pushed(hub).files[STAMP]) | {"run_key": "0" * 64}
    for files in ({STAMP: json.dumps(other).encode()}, {"pytorch_model.bin": b"theirs"}):
        hub.repositories["model", NAME] = Repository(commit="7" * 40, files=files, private=True)
        with pytest.raises(UsageError, match="someone/model holds another model already"):
            push_model(saved, NAME)
        assert pushed(hub).files == files


def a_link(folder: Path) -> None:
    (folder / "config.json").rename(folder.parent / "elsewhere.json")
    (folder / "config.json").symlink_to(folder.parent / "elsewhere.json")


def a_name_that_leads_out(folder: Path) -> None:
    stamp = json.loads((folder / STAMP).read_text())
    del stamp["sha256"]
    stamp["files"]["../secret.json"] = "0" * 64
    (folder / STAMP).write_text(json.dumps(stamp))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a link": a_link,
    "another card": lambda folder: (folder / "README.md").write_text("# changed"),
    "a name that leads out": a_name_that_leads_out,
    "another file": lambda folder: (folder / "notes.json").write_text("{}"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_is_not_as_it_was_saved_is_not_sent(change: str, hub: HubServer, saved: Path) -> None:
    CHANGES[change](saved)
    with pytest.raises(CheckpointError):
        push_model(saved, NAME)
    assert hub.asked == []


def test_a_push_asks_first_and_without_a_terminal_needs_yes(hub: HubServer, saved: Path) -> None:
    words = ["share", str(saved), "--push-to-hub", NAME]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, UsageError)
    assert "Say --yes" in refused.exception.remedy
    assert hub.asked == []
    sent = CliRunner().invoke(app, [*words, "--yes"])
    assert sent.exit_code == 0, sent.output
    assert "bytes  model.safetensors" in sent.output
    assert f"bytes in {len(files_to_share(saved))} files" in sent.output
    assert pushed(hub).private


def test_a_push_that_fails_leaves_the_model_and_says_why(
    hub: HubServer, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="--push-to-hub 'a/b/c'"):
        push_model(saved, "a/b/c")
    monkeypatch.setattr(watch, "BOUNDS", QUICK)
    for fault, cause in ((Fault(403), "answers 403"), (STALL, "no answer within")):
        hub.faults.clear()
        hub.fault("POST /api/repos/create", fault)
        with pytest.raises(HubError, match=cause) as refused:
            push_model(saved, NAME)
        assert "untouched" in refused.value.remedy
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="no token"):
        push_model(saved, NAME)
    assert read_stamp(saved)
