"""What `repro run` shows of a record besides its headline: the tokenizer's walk, the hardest tweets, the tour."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from repro.commands.options import write_table

if TYPE_CHECKING:
    from repro.records.record import RunRecord
    from repro.sections.context import Context


def show(record: RunRecord, context: Context) -> None:
    """Write what a reader of the notebook would look at in this section; most sections have nothing."""
    if record.experiment == "token-facts":
        show_walk(record.facts)
    elif record.experiment == "finetune" and sys.stdout.isatty():  # tweets go to a person, not into a log
        show_hardest(record, context)
    elif record.experiment == "inference":
        shares: Any = record.facts["probabilities"]
        write_table(("class", "probability"), [(label, f"{share:.4f}") for label, share in shares.items()])
    elif record.experiment in ("api", "tour"):
        from repro.report.sections import RECORD_TABLES

        table = RECORD_TABLES[record.experiment](record)
        write_table(table.columns, table.rows)
    for part, why in parts_not_run(record).items():
        sys.stderr.write(f"{record.experiment}, {part} did not run: {why}\n")


def parts_not_run(record: RunRecord) -> dict[str, str]:
    """Return which parts of an experiment lacked their asset, and why."""
    found = record.facts.get("not_run")
    return {part: str(why) for part, why in found.items()} if isinstance(found, dict) else {}


def show_walk(facts: dict[str, Any]) -> None:
    """Write the seminar's walk over the tokenizer as tables, from the record alone."""
    write_table(
        ("place", "id", "piece"),
        [(str(i), str(n), piece) for i, (n, piece) in enumerate(zip(facts["ids"], facts["pieces"], strict=True))],
    )
    sys.stdout.write(f"back to a string: {facts['string']}\n\n")
    write_table(
        ("tokenizer", ""),
        [
            ("class", facts["tokenizer"]["class"]),
            ("vocabulary size", f"{facts['vocabulary_size']:,}"),
            ("maximum context size", f"{facts['max_length']:,}"),
            ("input names", ", ".join(facts["input_names"])),
            ("columns after encoding", ", ".join(facts["columns"])),
            ("longest tweet", f"{facts['longest_tweet']:,} pieces"),
            ("mean of training tweets", f"{facts['mean_pieces']:.2f} pieces"),
        ],
    )
    write_table(("special token", "id"), [(token, str(number)) for token, number in facts["special_tokens"].items()])
    pieces = facts["padded_pair"]["pieces"]
    write_table(
        ("padded pair", "pieces", "zeros", "attention_mask"),
        [
            (f"training row {row}", str(n), str(max(pieces) - n), f"1 × {n}, 0 × {max(pieces) - n}")
            for row, n in enumerate(pieces)
        ],
    )


def show_hardest(record: RunRecord, context: Context) -> None:
    """Write the ten hardest and the ten easiest validation tweets with their texts, which stand in no record."""
    from repro.report.hardest import ranked_rows

    texts = context.corpus.texts("validation")
    write_table(
        ("", "row", "label", "predicted", "loss", "text"),
        [(r.which, str(r.row), r.label, r.predicted, f"{r.loss:.4f}", texts[r.row]) for r in ranked_rows(record)],
    )
