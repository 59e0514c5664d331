"""What the tests build for themselves: nothing is downloaded, nothing outside a temporary folder is written."""

from __future__ import annotations

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # before any Hugging Face library is imported: no test may reach for the Hub

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from repro import cli
from repro.assets.corpus import EMOTION
from repro.assets.recipes import DISTILBERT
from repro.records.provenance import collect_provenance
from repro.records.schema import LABELS, Epoch, RecipeStamp, RunRecord, Settings
from repro.sections.context import Context
from repro.sections.runner import open_context
from repro.spec import Batching, RunSpec

MakeRecord = Callable[..., RunRecord]
CallRepro = Callable[..., tuple[int, str, str]]
settings.register_profile("repeatable", derandomize=True, deadline=None)  # on a busy machine too
settings.load_profile("repeatable")
OWN_SESSIONS = ("faults", "page")  # `nox -s faults` and `nox -s page` run these


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what has a session of its own, unless it is named."""
    asked = any(collection_path.name in Path(argument).parts for argument in config.args)
    return True if collection_path.name in OWN_SESSIONS and not asked else None


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPRO_CORPUS", "REPRO_CHECKPOINTS", "REPRO_RESULTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _fresh_accelerate_state() -> Iterator[None]:
    """Accelerate keeps one precision a process; a test may need another."""
    yield
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def tiny_context() -> Context:
    """The tiny recipe on the first 96 sentences of each split of the rehearsal corpus."""
    return open_context(RunSpec(recipe="tiny", corpus="rehearsal", limit=96))


@pytest.fixture
def call_repro(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CallRepro:
    """Run `repro ARGUMENTS` in this process; return exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["repro", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0), *capsys.readouterr()

    return call


def epoch(number: int, train_loss: float) -> Epoch:
    """One epoch as the seminar's recipe runs it, with a loss of your choice."""
    first = 2e-5 * max(3 - number, 0) / 2
    return Epoch(
        epoch=number, steps=250, train_loss=train_loss, first_learning_rate=first, last_learning_rate=first - 1e-5,
        train_seconds=100.0, tweets_per_second=160.0,
    )  # fmt: skip


@pytest.fixture
def make_record() -> MakeRecord:
    """Make a record that meets the needs of every claim and passes the gates; keyword arguments replace parts of it."""

    def make(experiment: str = "finetune", *, seed: int = 0, **parts: Any) -> RunRecord:
        if experiment == "finetune":
            parts["facts"] = {"steps_per_epoch": 250, "steps": 500, **parts.get("facts", {})}
            parts.setdefault("epochs", [epoch(1, 0.83), epoch(2, 0.25)])
        recipe = {name: getattr(DISTILBERT, name) for name in RecipeStamp.model_fields if hasattr(DISTILBERT, name)}
        recipe |= {"weights_sha256": DISTILBERT.sha256["model.safetensors"], "behaviour": None}
        run = RunSpec(batching=Batching.PADDED, seed=seed)
        fields: dict[str, Any] = {
            "experiment": experiment,
            "recipe": RecipeStamp(**(recipe | parts.pop("recipe", {}))),
            "corpus": EMOTION,
            "settings": Settings(**(Settings.of(run).model_dump() | parts.pop("settings", {}))),
            "peak_mib": 1000.0,
            "provenance": collect_provenance(started=parts.pop("started", "2026-01-01T00:00:00Z"), threads=2),
        }
        return RunRecord(**(fields | parts))

    return make


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    """A folder in the Hub's layout with a few sentences of our own."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        rows = ({"text": f"{split} sentence {i}", "label": i % 6, "label_text": LABELS[i % 6]} for i in range(12))
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return folder
