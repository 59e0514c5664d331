"""`repro regress`: the gate of a change, two revisions timed in turns or two results folders compared."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from repro.commands.options import AsJson, CatalogueName, option_groups, write_json, write_table
from repro.errors import TerminatedRunError, UsageError, without_private_parts
from repro.regression.verdict import MARGIN

if TYPE_CHECKING:
    from repro.regression.verdict import Comparison, Selection

STYLES = {"✓": "green", "✗": "red", "?": "yellow"}
Names = list[str] | None
tell = partial(typer.echo, err=True)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Two revisions timed in turns."""

    against: Annotated[str | None, typer.Option(help="The baseline's revision, if not HEAD's first parent.")] = None
    margin: Annotated[float, typer.Option(help="Slower by more than this share is a regression.")] = MARGIN
    quick: Annotated[bool, typer.Option("--quick", help="Fewer launches: finds less, accuses no more.")] = False
    python: Annotated[str | None, typer.Option(help="Another interpreter for the working tree.")] = None
    rounds: Annotated[Path | None, typer.Option(help="Write every round's seconds here.")] = None


@option_groups
def regress(
    baseline: Annotated[Path | None, typer.Argument(help="A results folder; leave both out for --against.")] = None,
    candidate: Annotated[Path | None, typer.Argument(help="The same, of the change.")] = None,
    *,
    new: Annotated[Names, typer.Option(help="What the baseline may lack: NAME or BEGINNING*.")] = None,
    only: Annotated[Names, typer.Option(help="Compare this alone: NAME or BEGINNING*.")] = None,
    catalogue: CatalogueName = "seminar",
    timing: Timing,
    strict: Annotated[bool, typer.Option("--strict", help="What stays undecided fails too.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a change with its baseline. Exit code 0: no regression; 1: one, or something is missing; 2: bad input.

    Exit code 6: not comparable. Without folders, the benchmarks of two revisions are timed in turns. With two folders,
    scores on the same rows and claims are compared; seconds of different days are shown and fail nothing. A classifier
    is named `finetune:validation`, a benchmark as pytest names it, a claim by its id.
    """
    from repro.regression.verdict import Selection, exit_code, to_data, to_junit, to_markdown

    if not (math.isfinite(timing.margin) and 0 <= timing.margin < 1):
        what = f"--margin is {timing.margin}, expected a share from 0 to 1"
        raise UsageError(what, "0.05 is five per cent slower.")
    selection = Selection(only=tuple(only or ()), new=tuple(new or ()))
    if baseline is None and candidate is None:
        comparisons, notes = _time_in_turns(timing, selection)
    elif baseline is None or candidate is None or timing.against is not None:
        raise UsageError("expected two results folders, or --against REV and no folder", "See: repro regress --help")
    else:
        comparisons, notes = _compare_folders(baseline, candidate, selection, catalogue)
    code = exit_code(comparisons, strict=strict)
    if junit:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_bytes(to_junit(comparisons))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(to_markdown(comparisons, code, notes))
    if as_json:
        write_json(to_data(comparisons, code, notes))
    else:
        _show(comparisons, code, notes)
    raise typer.Exit(code)


def _compare_folders(
    baseline: Path, candidate: Path, selection: Selection, catalogue: str
) -> tuple[list[Comparison], list[str]]:
    from repro.claims.catalogue import load_catalogue
    from repro.claims.judge import judge_all
    from repro.regression.folders import compare_claims, compare_scores, names_of, read_folder, show_speed
    from repro.sections import SECTIONS, section_named

    before, after = read_folder(baseline), read_folder(candidate)
    claims = load_catalogue(catalogue)
    selection.check([*(claim.id for claim in claims.claim), *names_of(before), *names_of(after)])
    seeded = {name: section_named(name).seeded for name in SECTIONS}
    comparisons = list(compare_scores(before, after, selection, seeded=seeded))
    old, new = (judge_all(claims, side.records, list(SECTIONS)) for side in (before, after))
    comparisons += compare_claims(old, new, selection)
    comparisons += show_speed(before, after, selection)
    return comparisons, [
        f"{side} {without_private_parts(str(of.path))}: {len(of.records)} records, {len(of.benchmarks)} benchmarks"
        for side, of in (("baseline", before), ("candidate", after))
    ]


def _time_in_turns(timing: Timing, selection: Selection) -> tuple[list[Comparison], list[str]]:
    from repro.regression.checkouts import checkout_of, repository, resolve, working_tree
    from repro.regression.session import QUICK, Plan, describe, judge_session, run_session

    signal.signal(signal.SIGTERM, _terminated)
    plan, root, margin = QUICK if timing.quick else Plan(), repository(), timing.margin
    candidate, commit = working_tree(root, timing.python or sys.executable), resolve(root, timing.against)
    with checkout_of(root, commit, tell) as before:
        names = {"baseline": before.name, "candidate": candidate.name}
        note = ", ".join(f"{side} {name}" for side, name in names.items())
        tell(note)
        session = run_session(before, candidate, selection, plan=plan, margin=margin, say=tell)
    if timing.rounds:
        data = {**names, "margin": margin, "plan": asdict(plan), **asdict(session)}
        timing.rounds.parent.mkdir(parents=True, exist_ok=True)
        timing.rounds.write_text(json.dumps(data), encoding="utf-8")
    return judge_session(session, selection, margin=margin), [note, describe(session, plan)]


def _terminated(number: int, frame: Any) -> NoReturn:
    """End as an error does, so that worktree and environment are removed."""
    del number, frame
    raise TerminatedRunError("terminated", "Worktree and environment are removed; start it again.")


def _show(comparisons: Sequence[Comparison], code: int, notes: Sequence[str]) -> None:
    from repro.regression.verdict import conclusion, grouped, reasons

    for title, table in grouped(comparisons):
        typer.echo(title)
        rows = [(*row[:-1], f"[{STYLES.get(row[-1][0], 'dim')}]{row[-1]}[/]") for row in table.rows]
        write_table(table.columns, rows, markup_column=len(table.columns) - 1)
        typer.echo()
    for line in (*reasons(comparisons), *notes, conclusion(comparisons, code)):
        typer.echo(line)
