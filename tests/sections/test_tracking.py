"""Trackers get what was trained through accelerate, and are refused by name where they are unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from accelerate.utils import LoggerType

from repro.errors import UsageError
from repro.sections.context import Context, Outputs
from repro.sections.tracking import check_tracker
from tests.running import measure


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
