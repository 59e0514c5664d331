"""What the six tasks of the tour gave: the table that a run of it shows."""

from __future__ import annotations

from typing import Any

from repro.display.table import Table
from repro.records.record import RunRecord

MOST_SHOWN = 12  # groups of entities; the seminar's letter has ten


def tour_table(record: RunRecord) -> Table:
    """One row a task that ran: its checkpoint and what it gave. Takes a record of the experiment `tour`."""
    rows = []
    for task, checkpoint in record.at("facts.checkpoints").items():
        rows.append((task, checkpoint["repository"], _in_words(record.at(f"facts.{task}"))))
    return Table(("task", "checkpoint", "result"), tuple(rows))


def _in_words(found: Any) -> str:
    if isinstance(found, list):
        groups = [f"{e['word']} ({e['entity_group']} {e['score']:.3f}, {e['start']}–{e['end']})" for e in found]
        return "; ".join(groups[:MOST_SHOWN]) + (f"; … {len(groups)} in all" if len(groups) > MOST_SHOWN else "")
    if "label" in found:
        return f"{found['label']} {found['score']:.4f}"
    if "answer" in found:
        return f"{found['answer']} ({found['start']}–{found['end']}, {found['score']:.4f})"
    text = found["text"] if "text" in found else "…" + found["continuation"]
    return f"{text.strip()} ({found['tokens']} tokens)"
