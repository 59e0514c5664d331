"""Every section run once on the tiny recipe, for all tests that read what came of it, and the verdicts on a record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from repro.claims.catalogue import load_catalogue
from repro.claims.judge import Verdict, judge_all
from repro.records.schema import RunRecord
from repro.sections import SECTIONS, sections_named
from repro.sections.context import Context
from repro.sections.runner import open_context, run_sections
from repro.spec import RunSpec
from tests.running import measure


class Measured(NamedTuple):
    """What `repro run` leaves of all sections on 96 rows with seeds 0 and 1: its records by section and seed.

    `again` is each section measured once more right after, by another context, with seed 0.
    """

    context: Context
    results: Path
    records: Mapping[tuple[str, int], RunRecord]
    again: Mapping[str, RunRecord]


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """All sections, run in the context that `tiny_context` is, the models saved."""
    results, spec = tmp_path_factory.mktemp("results"), RunSpec(recipe="tiny", corpus="rehearsal", limit=96)
    context, other = (replace(open_context(spec), save=tmp_path_factory.mktemp("models")) for _ in range(2))
    records, again = dict[tuple[str, int], RunRecord](), dict[str, RunRecord]()
    for record, _ in run_sections(sections_named([]), context, [0, 1], results):
        name, seed = record.experiment, record.settings.seed
        records[name, seed] = record
        if seed == 0:
            again[name] = measure(name, other)
    return Measured(context, results, records, again)


@pytest.fixture
def trained(measured: Measured, tmp_path: Path) -> tuple[Path, RunRecord]:
    """A copy of the saved model of seed 0, and the record of its training."""
    record = measured.records["finetune", 0]
    name = str(record.facts["saved_model"])
    return shutil.copytree(measured.context.models / name, tmp_path / "models" / name), record


@pytest.fixture
def saved(trained: tuple[Path, RunRecord]) -> Path:
    return trained[0]


def verdicts_on(record: RunRecord) -> dict[str, Verdict]:
    """What the seminar's catalogue says of one record, by claim."""
    return {verdict.claim.id: verdict for verdict in judge_all(load_catalogue(), [record], list(SECTIONS))}
