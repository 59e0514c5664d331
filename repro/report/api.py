"""What in the notebook no longer runs, and what to write instead: the table behind the claims on the libraries."""

from __future__ import annotations

from repro.display.table import Table
from repro.records.record import RunRecord

NO_EFFECT = "NoEffectError"  # the experiment's own word for a call that raises nothing and does nothing


def api_table(record: RunRecord) -> Table:
    """One row a call of the notebook that fails or has no effect, with what it says and what to write instead.

    Takes a record of the experiment `api`; an empty table where every call still runs.
    """
    calls = record.at("facts.calls")
    rows = []
    for found in calls:
        if not found["runs"]:
            tried = {True: "", False: " (tried: fails as well)", None: " (not tried)"}[found["instead_runs"]]
            kind = "no effect" if found["error"] == NO_EFFECT else found["error"]
            rows.append((found["call"], f"{kind}: {found['message']}", found["instead"] + tried))
    return Table(("what no longer runs", "what it says", "what to write instead"), tuple(rows))
