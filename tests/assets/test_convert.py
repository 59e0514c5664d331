"""A checkpoint that is a pickle only: its tensors are read, nothing of it runs, and its hashes are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from repro.assets.builtin.tiny import build_tiny_tour
from repro.assets.checkpoints import file_sha256, locate_checkpoint
from repro.assets.convert import PICKLE, convert_checkpoint
from repro.assets.loading import load_model
from repro.assets.recipes import TOUR
from repro.errors import CheckpointError
from tests.assets.hub_server import HubServer, Repository

SUMMARY = replace(TOUR["summary"], config={"model_type": "bart"})


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """DIR/NAME as the Hub has such a checkpoint: configuration and tokenizer, and the weights as a pickle."""
    folder = tmp_path / "checkpoints" / "distilbart-cnn-12-6"
    build_tiny_tour("summary", folder)
    state = load_file(folder / "model.safetensors")
    state["lm_head.weight"] = state["model.shared.weight"]  # tied, as published ones are
    torch.save(state, folder / PICKLE)
    (folder / "model.safetensors").unlink()
    return folder


def test_a_pickle_becomes_safetensors_of_the_same_weights(pickled: Path) -> None:
    before = torch.load(pickled / PICKLE, weights_only=True)
    folder, digest = convert_checkpoint(SUMMARY, pickled.parent)
    after = load_file(folder / "model.safetensors")
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    found = locate_checkpoint(SUMMARY, pickled.parent, use_hub=False)
    assert (found.folder, found.weights_sha256) == (pickled, digest)
    assert digest == file_sha256(folder / "model.safetensors")
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert weights.metadata()["pickle_sha256"] == file_sha256(pickled / PICKLE)
    load_model("AutoModelForSeq2SeqLM", folder)
    with pytest.raises(CheckpointError, match="already"):
        convert_checkpoint(SUMMARY, pickled.parent)


def test_a_pickle_comes_from_the_hub_where_the_folder_lacks_it(hub: HubServer, pickled: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in pickled.iterdir()}
    hub.repositories["model", SUMMARY.checkpoint] = Repository(commit="a4f8f3e" + "0" * 33, files=files)
    shutil.rmtree(pickled)
    folder, _ = convert_checkpoint(SUMMARY, tmp_path / "converted")
    assert locate_checkpoint(SUMMARY, tmp_path / "converted", use_hub=False).folder == folder
    assert not (folder / PICKLE).exists()


class Hostile:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (os.environ["HOSTILE"],)


@pytest.mark.parametrize("content", ["code", "a list", "cut"])
def test_a_pickle_of_more_than_tensors_is_refused_and_not_run(
    content: str, pickled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOSTILE", str(tmp_path / "taken"))
    if content == "cut":
        (pickled / PICKLE).write_bytes((pickled / PICKLE).read_bytes()[:1000])
    else:
        torch.save(Hostile() if content == "code" else [torch.zeros(1)], pickled / PICKLE)
    with pytest.raises(CheckpointError, match=r"more than tensors|not a table"):
        convert_checkpoint(SUMMARY, pickled.parent)
    assert not (tmp_path / "taken").exists()
    assert [path.name for path in pickled.parent.iterdir()] == [pickled.name]
    assert not (pickled / "model.safetensors").exists()
