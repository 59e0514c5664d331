"""A tiny model, fine-tuned once for all tests that need a saved one, and the verdicts on a record."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from repro.claims.catalogue import load_catalogue
from repro.claims.judge import Verdict, judge_all
from repro.records.schema import RunRecord
from repro.sections import SECTIONS
from repro.sections.models import model_folder
from repro.sections.runner import open_context
from repro.spec import RunSpec
from tests.running import measure


@pytest.fixture(scope="session")
def _trained_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    spec = RunSpec(recipe="tiny", corpus="rehearsal", limit=96)
    context = replace(open_context(spec), save=tmp_path_factory.mktemp("models"))
    record = measure("finetune", context)
    return model_folder(context, 0), record


@pytest.fixture
def trained(_trained_once: tuple[Path, RunRecord], tmp_path: Path) -> tuple[Path, RunRecord]:
    """The folder of a saved tiny model of seed 0, as `tiny_context` would train it, and the record of its training."""
    folder, record = _trained_once
    copy = tmp_path / "models" / folder.name
    shutil.copytree(folder, copy)
    return copy, record


@pytest.fixture
def saved(trained: tuple[Path, RunRecord]) -> Path:
    return trained[0]


def verdicts_on(record: RunRecord) -> dict[str, Verdict]:
    """What the seminar's catalogue says of one record, by claim."""
    return {verdict.claim.id: verdict for verdict in judge_all(load_catalogue(), [record], list(SECTIONS))}
