"""The tally of faults: what is written comes back, the newest counts, nothing broken is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from repro.errors import RecordError
from repro.records.faults import FaultRow, FaultTally, newest_tally, write_tally
from repro.records.provenance import collect_provenance
from repro.report.faults import fault_tables


def row(**parts: object) -> FaultRow:
    fields: dict[str, object] = {
        "fault": "SIGKILL", "how": "at a random moment", "tried": 50, "lost": 0, "wrong": 0, "finished": 50,
        "identical": 50, "told": "going on",
    }  # fmt: skip
    return FaultRow.model_validate(fields | parts)


def tally(*rows: FaultRow, started: str = "2026-01-01T00:00:00Z") -> FaultTally:
    provenance = collect_provenance(started=started, threads=1)
    return FaultTally(run="repro run", steps=40, drawn_from=5, seconds=90.0, rows=list(rows), provenance=provenance)


def test_the_newest_tally_is_read_and_a_results_folder_without_one_has_none(tmp_path: Path) -> None:
    assert newest_tally(tmp_path) is None
    assert fault_tables(tmp_path) == {}
    newer = tally(row(), started="2026-02-01T00:00:00Z")
    for made in (newer, tally(row(lost=1))):
        write_tally(made, tmp_path / "faults")
    assert newest_tally(tmp_path) == newer


def test_a_tally_with_one_digit_changed_is_refused_by_name(tmp_path: Path) -> None:
    path = write_tally(tally(row(wrong=1)), tmp_path / "faults")
    path.write_bytes(path.read_bytes().replace(b'"wrong": 1', b'"wrong": 0'))
    with pytest.raises(RecordError, match=f"{path.name}.*changed or damaged"):
        newest_tally(tmp_path)


def test_counts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="identical <= finished <= tried"):
        row(finished=51)


def test_the_table_shows_what_was_lost_and_what_had_nothing_to_finish(tmp_path: Path) -> None:
    write_tally(tally(row(lost=2, identical=48), row(fault="flip", finished=0, identical=0)), tmp_path / "faults")
    table = fault_tables(tmp_path)["faults"]
    assert table.rows == (
        ("SIGKILL", "at a random moment", "50", "2", "0", "48 of 50", "going on"),
        ("flip", "at a random moment", "50", "0", "0", "nothing to finish", "going on"),
    )
    assert table.note.startswith("100 faults, drawn from seed 5, in runs of 40 steps (`repro run`); 1.5 min on ")
