"""Fixtures of the training's tests: a tiny run, and no slow garbage collections."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from repro.sections.context import Context
from repro.training.device import gpu_problem
from tests.training.trial import SMALL, Runs


def pytest_runtest_setup(item: pytest.Item) -> None:
    """List a test that needs a GPU as not run where none can be used, with the reason."""
    if item.get_closest_marker("gpu") and (problem := gpu_problem()):
        pytest.skip(f"NOT RUN, it needs a GPU: {problem.what}")


@pytest.fixture(scope="session", autouse=True)
def _libraries_are_no_garbage() -> None:
    """Accelerate collects garbage after each training: of all that was imported, that takes half a second a time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def runs(tiny_context: Context, tmp_path: Path) -> Runs:
    """Fine-tuning on 96 rows, packed, its model saved."""
    return Runs(context=replace(tiny_context, recipe=SMALL, save=tmp_path / "models"), folder=tmp_path)
