"""Two stacks of libraries side by side, from what `nox -s stacks` measured: which numbers, times and calls move."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from repro.display import Table
from repro.records.schema import RunRecord
from repro.records.store import read_records
from repro.regression.session import Session, judge_session
from repro.regression.verdict import Selection

Row = tuple[str, str, str, str]


def stack_table(pinned: Sequence[RunRecord], other: Sequence[RunRecord], rounds: Session | None) -> Table:
    """One row a library, call, score or time that the two stacks do not share; the last column is how it moved."""
    ours, theirs = ({record.experiment: record for record in records} for records in (pinned, other))
    rows: list[Row] = []
    for section in {**ours, **theirs}:
        if section in ours and section in theirs:
            rows += _moved(ours[section], theirs[section])
        else:
            ran = ["runs" if section in side else "did not run" for side in (ours, theirs)]
            rows.append((f"section {section}", ran[0], ran[1], "runs on one stack alone"))
    for c in judge_session(rounds, Selection()) if rounds else ():
        moved = c.why if c.difference is None else f"× {c.difference:.2f}, {c.answer}"
        rows.append((f"time of {c.name}", c.baseline, c.candidate, moved))
    return Table(("what", "pinned", "other", "moved"), tuple(dict.fromkeys(rows)))


def _moved(ours: RunRecord, theirs: RunRecord) -> Iterator[Row]:
    versions = ours.provenance.versions, theirs.provenance.versions
    for name in {**versions[0], **versions[1]}:
        a, b = (side.get(name, "not installed") for side in versions)
        if a != b:
            yield f"library {name}", a, b, ""
    if ours.experiment == "api":
        calls = [{call["call"]: call for call in record.at("facts.calls")} for record in (ours, theirs)]
        for call in {**calls[0], **calls[1]}:
            a, b = ("runs" if side[call]["runs"] else str(side[call]["error"]) for side in calls)
            if a != b:
                how = "works no longer" if a == "runs" else "works again" if b == "runs" else "fails"
                yield f"call {call}", a, b, how
    for name in ours.scores.keys() & theirs.scores.keys():
        for measure in ("accuracy", "weighted_f1", "loss"):
            before, after = (getattr(record.scores[name], measure) for record in (ours, theirs))
            if before != after and None not in (before, after):
                what = f"{ours.experiment}, {name}, {measure}"
                yield what, f"{before:.6f}", f"{after:.6f}", f"{after - before:+.6f}"
    for name in ours.rows.keys() & theirs.rows.keys():
        pairs = list(zip(ours.rows[name].predictions, theirs.rows[name].predictions, strict=True))
        if differing := sum(a != b for a, b in pairs):
            what, count = f"{ours.experiment}, {name}, predictions", str(len(pairs))
            yield what, count, count, f"{differing} rows are predicted otherwise"


def main(folder: Path) -> None:
    """Print the table and write it beside what was measured."""
    rounds, measured = folder / "rounds.json", None
    if rounds.is_file():
        saved = json.loads(rounds.read_text(encoding="utf-8"))
        measured = Session(first=saved["first"], again=saved["again"], absent=tuple(map(tuple, saved["absent"])))
    text = stack_table(read_records(folder / "pinned"), read_records(folder / "other"), measured).to_markdown()
    (folder / "STACKS.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
