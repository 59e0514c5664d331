"""The tables that single sections of the seminar add to the report, each made from the newest runs."""

from __future__ import annotations

from collections.abc import Sequence

from repro.display.figure import newest_runs
from repro.display.table import Table
from repro.records.record import RunRecord
from repro.report.api import api_table
from repro.report.confusions import cell_table
from repro.report.corpus import overlap_table
from repro.report.hardest import hardest_table
from repro.report.linear import fits_table
from repro.report.tour import tour_table

RECORD_TABLES = {"tour": tour_table, "api": api_table}


def seminar_tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return by file name what the sections show besides verdicts and figures; a table without rows is left out."""
    classified = [*newest_runs(records, "linear"), *newest_runs(records, "finetune")]
    made = {
        "fits": fits_table(newest_runs(records, "linear")),
        "repeated": overlap_table(records, classified),
        "confusions": cell_table(classified),
        "hardest": hardest_table(newest_runs(records, "finetune")),
        **{name: table(record) for name, table in RECORD_TABLES.items() for record in newest_runs(records, name)[-1:]},
    }
    return {name: table for name, table in made.items() if table.rows}
