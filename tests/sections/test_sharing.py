"""Saving, sharing and tracking: the card tells the scores, nothing goes out unasked, and no failure costs a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from accelerate.utils import LoggerType
from huggingface_hub import ModelCard
from safetensors import SafetensorError

from repro.errors import CheckpointError, HubError, UsageError
from repro.records.schema import RunRecord
from repro.sections.context import Context, Outputs
from repro.sections.sharing import files_to_share, prepare_models, push_model, read_stamp
from repro.sections.tracking import check_tracker
from tests.running import measure


def test_the_card_is_hub_metadata_with_the_scores_of_the_record(trained: tuple[Path, RunRecord]) -> None:
    folder, record = trained
    data = ModelCard.load(folder / "README.md").data
    found = {(r.dataset_split, r.metric_type): r.metric_value for r in data.eval_results or []}
    for split, name in (("validation", "epoch-2/validation"), ("test", "test")):
        scores = record.scores[name]
        assert found[split, "accuracy"] == pytest.approx(scores.accuracy)
        assert found[split, "f1"] == pytest.approx(scores.weighted_f1)
        assert found[split, "loss"] == pytest.approx(scores.loss)
    stamp = read_stamp(folder)
    assert (stamp.recipe, stamp.corpus, stamp.settings) == (record.recipe, record.corpus, record.settings)


def test_a_folder_that_holds_another_runs_model_is_refused_before_training_and_the_same_runs_is_not(
    trained: tuple[Path, RunRecord], tiny_context: Context
) -> None:
    folder, _ = trained
    saving = replace(tiny_context, outputs=Outputs(save=folder.parent))
    prepare_models(saving, [1, 0])
    with pytest.raises(UsageError, match="exists already"):
        prepare_models(saving.changed(batching="padded"), [1, 0])


def test_a_run_made_again_replaces_the_model_that_it_left(tiny_context: Context, tmp_path: Path) -> None:
    context = replace(tiny_context.changed(protocol="as-published"), outputs=Outputs(save=tmp_path / "models"))
    first, second = (measure("finetune", context) for _ in range(2))
    assert first.facts["head_seed"] != second.facts["head_seed"]
    assert second.facts["saved_model"] == first.facts["saved_model"]
    assert read_stamp(tmp_path / "models" / str(second.facts["saved_model"])).scores == second.scores


def test_a_disk_that_refuses_the_model_does_not_cost_the_record(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.ModelCard.save", refuse)
    record = measure("finetune", replace(tiny_context, outputs=Outputs(save=tmp_path / "models")), 0)
    assert record.facts["saved_model"] is None
    assert record.facts["not_saved"] == "No space left on device"
    assert list(tmp_path.rglob("*.safetensors")) == []  # no half of a model stays


def test_a_disk_too_small_for_the_weights_does_not_cost_the_record(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", refuse)
    record = measure("finetune", replace(tiny_context, outputs=Outputs(save=tmp_path / "models")), 0)
    assert record.facts["saved_model"] is None
    assert record.facts["not_saved"] == "No space left on device"


def test_only_the_models_own_files_are_sent_and_only_with_a_token(
    trained: tuple[Path, RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = trained
    (folder / ".secret.json").write_text("{}")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    names = [file.name for file in files_to_share(folder)]
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "repro-run.json"} <= set(names)
    assert not {".secret.json", "optimizer.pt"} & set(names)

    sent: dict[str, Any] = {}
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda self, name, **_: f"https://hub/{name}")
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", lambda self, **given: sent.update(given))
    monkeypatch.setattr("repro.sections.sharing.why_unreachable", lambda: None)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(HubError, match="no token"):
        push_model(folder, "someone/model")
    assert sent == {}
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "a token")
    with pytest.raises(UsageError, match="--push-to-hub 'a/b/c'"):
        push_model(folder, "a/b/c")
    assert push_model(folder, "someone/model") == "https://hub/someone/model"
    assert sent["allow_patterns"] == names


def test_a_push_that_fails_leaves_the_model_and_says_why(
    trained: tuple[Path, RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("cut in the middle\nof a long story")

    monkeypatch.setattr("huggingface_hub.get_token", lambda: "a token")
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        push_model(trained[0], "someone/model")
    monkeypatch.setattr("repro.sections.sharing.why_unreachable", lambda: None)
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(HubError, match=r"cut in the middle\n") as refused:
        push_model(trained[0], "someone/model")
    assert "untouched" in refused.value.remedy
    assert read_stamp(trained[0])


def test_a_folder_without_a_saved_model_is_not_shared(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"repro-run\.json cannot be read"):
        files_to_share(tmp_path)


def test_a_tracker_gets_every_epoch_at_its_step_through_accelerate_and_is_closed(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logged: list[Any] = []

    class Listening(GeneralTracker):  # type: ignore[misc]  # accelerate has no types
        name = "listening"
        requires_logging_directory = True

        def __init__(self, run_name: str, logging_dir: str) -> None:
            super().__init__()
            logged.append((run_name, Path(logging_dir)))

        @property
        def tracker(self) -> None:
            return None

        def store_init_configuration(self, values: dict[str, Any]) -> None:
            logged.append((values["learning_rate"], values["seed"]))

        def log(self, values: dict[str, Any], step: int | None) -> None:
            logged.append((step, values["train_loss"], values["validation_f1"]))

        def finish(self) -> None:
            logged.append("closed")

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "tensorboard", Listening)
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    context = replace(tiny_context, outputs=Outputs(track="tensorboard", tracking_folder=tmp_path))
    record = measure("finetune", context, 5)
    epochs = [
        (2 * e.epoch, e.train_loss, record.scores[f"epoch-{e.epoch}/validation"].weighted_f1) for e in record.epochs
    ]
    assert logged == [("seminar-repro", tmp_path), (1e-3, 5), *epochs, "closed"]


def test_a_tracker_that_is_unknown_or_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.sections.tracking.find_spec", lambda name: None)
    assert check_tracker("none") == "none"
    with pytest.raises(UsageError, match="Did you mean 'wandb'"):
        check_tracker("wandbb")
    with pytest.raises(UsageError, match=r"pip install tensorboard"):
        check_tracker("tensorboard")
