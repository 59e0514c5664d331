"""A tiny model, fine-tuned once for all tests that need a saved one; each gets a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.corpus import load_corpus
from repro.assets.recipes import TINY
from repro.records.record import RunRecord
from repro.sections.context import Context
from repro.sections.models import model_folder
from repro.sections.registry import EXPERIMENTS


@pytest.fixture(scope="session")
def _trained_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    context = Context(
        recipe=TINY,
        corpus=load_corpus("rehearsal", limit=96),
        checkpoint=locate_checkpoint(TINY),
        limit=96,
        save=tmp_path_factory.mktemp("models"),
    )
    record = EXPERIMENTS["finetune"].measure(context, 0)
    return model_folder(context, 0), record


@pytest.fixture
def trained(_trained_once: tuple[Path, RunRecord], tmp_path: Path) -> tuple[Path, RunRecord]:
    """The folder of a saved tiny model of seed 0, as `tiny_context` would train it, and the record of its training."""
    folder, record = _trained_once
    copy = tmp_path / "models" / folder.name
    shutil.copytree(folder, copy)
    return copy, record
