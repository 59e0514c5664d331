"""The faults that were injected, as a table: what was lost, what was wrong, and what the user was told."""

from __future__ import annotations

from pathlib import Path

from repro.display.table import Table
from repro.records.faults import FaultTally, newest_tally


def fault_tables(results: Path) -> dict[str, Table]:
    """Return the table of the newest tally by its file name; nothing where no session of faults has run."""
    tally = newest_tally(results)
    return {"faults": fault_table(tally)} if tally and tally.rows else {}


def fault_table(tally: FaultTally) -> Table:
    """One row a fault, in the order in which they were injected."""
    return Table(
        ("fault", "how", "tried", "lost records", "wrong results that passed", "bit-identical once finished",
         "what the user is told"),
        tuple(
            (
                r.fault, r.how, str(r.tried), str(r.lost), str(r.wrong),
                f"{r.identical} of {r.finished}" if r.finished else "nothing to finish", r.told,
            )
            for r in tally.rows
        ),
        note=fault_session(tally),
    )  # fmt: skip


def fault_session(tally: FaultTally) -> str:
    """Return one line on the session: what ran, when, on what and for how long."""
    p = tally.provenance
    commit = "unknown" if p.commit is None else p.commit[:12] + (" with changes" if p.dirty else "")
    return (
        f"{sum(r.tried for r in tally.rows)} faults, drawn from seed {tally.drawn_from}, in runs of {tally.steps} "
        f"steps (`{tally.run}`); {tally.seconds / 60:.1f} min on {p.processor}, {p.cores} cores, {p.started[:10]}, "
        f"commit {commit}"
    )
