"""The faults that were injected, as a table: what was lost, what was wrong, and what the user was told."""

from __future__ import annotations

from pathlib import Path

from repro.display.table import Table
from repro.records.faults import FaultTally, newest_tally
from repro.report.tables import COLUMNS, commit_of


def fault_tables(results: Path) -> dict[str, Table]:
    """Return the table of the newest tally by its file name; nothing where no session of faults has run."""
    tally = newest_tally(results)
    return {"faults": fault_table(tally)} if tally and tally.rows else {}


def fault_table(tally: FaultTally) -> Table:
    """One row a fault, in the order in which they were injected."""
    finished = [f"{r.identical} of {r.finished}" if r.finished else "nothing to finish" for r in tally.rows]
    rows = ({"r": r, "identical": identical} for r, identical in zip(tally.rows, finished, strict=True))
    return Table.of(COLUMNS["faults"], rows, fault_session(tally))


def fault_session(tally: FaultTally) -> str:
    """Return one line on the session: what ran, when, on what and for how long."""
    p = tally.provenance
    return (
        f"{sum(r.tried for r in tally.rows)} faults, drawn from seed {tally.drawn_from}, in runs of {tally.steps} "
        f"steps (`{tally.run}`); {tally.seconds / 60:.1f} min on {p.processor}, {p.cores} cores, {p.started[:10]}, "
        f"commit {commit_of(p)}"
    )
