"""The checker of histories, which `nox -s faults` relies on, sees planted bugs; the docs count what was tried."""

from __future__ import annotations

from repro.records.faults import FaultTally
from repro.records.store import read_sealed
from repro.report.faults import fault_table
from tests.running import ROOT, run_module


def test_bugs_that_are_planted_in_histories_are_caught() -> None:
    assert "3 passed" in run_module("pytest", "tests/faults/test_checker.py", "-q", "-p", "no:cacheprovider")


def test_the_docs_count_the_cuts_and_histories_of_the_records() -> None:
    docs = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    parts = sorted((ROOT / "results" / "faults" / "parts").glob("*Z-*.json"))
    assert parts
    for part in parts:
        table = fault_table(read_sealed(part, FaultTally, "tally of faults"))
        assert table.to_markdown() in docs
        assert table.note in docs
