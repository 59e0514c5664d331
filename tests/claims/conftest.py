"""Fine-tuning records that pass the gates: with the steps and losses that a fresh run of the recipe has."""

from __future__ import annotations

from typing import Any

import pytest

from repro.records.schema import RunRecord
from tests.claims.builders import epoch
from tests.conftest import MakeRecord


@pytest.fixture
def make_record(make_record: MakeRecord) -> MakeRecord:
    """Make a record as elsewhere; one of finetune has steps and epochs unless they are given."""

    def make(experiment: str = "finetune", **parts: Any) -> RunRecord:
        if experiment == "finetune":
            parts["facts"] = {"steps_per_epoch": 250, "steps": 500, **parts.get("facts", {})}
            parts.setdefault("epochs", [epoch(1, 0.83), epoch(2, 0.25)])
        return make_record(experiment, **parts)

    return make
