"""The tables that single sections of the seminar add to the report, each made from the newest runs."""

from __future__ import annotations

from collections.abc import Sequence

from repro.records.record import RunRecord
from repro.report.confusions import cell_table
from repro.report.corpus import overlap_table
from repro.report.drawing import newest_runs
from repro.report.hardest import hardest_table
from repro.report.tables import Table


def seminar_tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return by file name: repeated tweets and what they cost, confusion cells, hardest and easiest tweets."""
    classified = [*newest_runs(records, "linear"), *newest_runs(records, "finetune")]
    return {
        "repeated": overlap_table(records, classified),
        "confusions": cell_table(classified),
        "hardest": hardest_table(newest_runs(records, "finetune")),
    }
