"""`repro regress`: the gate of a change, two revisions timed in turns or two results folders compared."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from repro.commands.options import CatalogueName, write_table
from repro.errors import TerminatedRunError, UsageError
from repro.regression.speed import MARGIN

if TYPE_CHECKING:
    from repro.regression.verdict import Comparison, Selection

STYLES = {"✓": "green", "✗": "red", "?": "yellow"}


def regress(
    baseline: Annotated[Path | None, typer.Argument(help="A results folder; leave both out for --against.")] = None,
    candidate: Annotated[Path | None, typer.Argument(help="The same, of the change.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Time this revision and the working tree in turns [default: first parent].")
    ] = None,
    new: Annotated[
        list[str] | None, typer.Option(help="What the baseline may lack: NAME or BEGINNING*; may be repeated.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Compare this alone: NAME or BEGINNING*; may be repeated.")
    ] = None,
    catalogue: CatalogueName = "seminar",
    margin: Annotated[float, typer.Option(help="Slower by more than this share is a regression.")] = MARGIN,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer launches: finds less, accuses no more.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random order in which the two sides take turns.")] = 0,
    python: Annotated[
        str | None, typer.Option(help="Interpreter of the working tree, if another: compares libraries.")
    ] = None,
    rounds_file: Annotated[Path | None, typer.Option("--rounds", help="Write every round's seconds here.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="What stays undecided fails too.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Compare a change with its baseline. Exit code 0: no regression; 1: one, or something is missing; 2: bad input.

    Exit code 6: not comparable. Without folders, the benchmarks of two revisions are timed in turns. With two folders,
    scores on the same rows and claims are compared; seconds of different days are shown and fail nothing. A classifier
    is named `finetune:validation`, a benchmark `step[tiny-packed]`, a claim by its id.
    """
    from repro.regression.verdict import Selection, exit_code, to_data, to_junit, to_markdown

    if not (math.isfinite(margin) and 0 <= margin < 1):
        raise UsageError(f"--margin is {margin}, expected a share from 0 to 1", "0.05 is five per cent slower.")
    if (baseline is None) != (candidate is None) or (baseline is not None and against is not None):
        raise UsageError("expected two results folders, or --against REV and no folder", "See: repro regress --help")
    selection = Selection(only=tuple(only or ()), new=tuple(new or ()))
    if baseline is not None and candidate is not None:
        comparisons, notes = _compare_folders(baseline, candidate, selection, catalogue)
    else:
        comparisons, notes = _time_in_turns(
            against, selection, margin=margin, quick=quick, seed=seed, python=python, rounds_file=rounds_file
        )
    code = exit_code(comparisons, strict=strict)
    if junit:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_bytes(to_junit(comparisons))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(to_markdown(comparisons, code, notes))
    if as_json:
        sys.stdout.write(json.dumps(to_data(comparisons, code, notes), indent=1, ensure_ascii=False) + "\n")
    else:
        _show(comparisons, code, notes)
    raise typer.Exit(code)


def _compare_folders(
    baseline: Path, candidate: Path, selection: Selection, catalogue: str
) -> tuple[list[Comparison], list[str]]:
    from repro.claims.catalogue import load_catalogue
    from repro.claims.judge import judge_all
    from repro.records.private import without_private_parts
    from repro.regression.folders import compare_claims, compare_scores, names_of, read_folder, show_speed
    from repro.sections import SECTIONS, section_named

    before, after = read_folder(baseline), read_folder(candidate)
    claims = load_catalogue(catalogue)
    selection.check([*(claim.id for claim in claims.claim), *names_of(before), *names_of(after)])
    seeded = {name: section_named(name).seeded for name in SECTIONS}
    comparisons = list(compare_scores(before, after, selection, seeded=seeded))
    verdicts = [judge_all(claims, side.records, list(SECTIONS)) for side in (before, after)]
    comparisons += compare_claims(verdicts[0], verdicts[1], selection)
    comparisons += show_speed(before, after, selection)
    sides = (("baseline", before), ("candidate", after))
    return comparisons, [
        f"{side} {without_private_parts(str(of.path))}: {len(of.records)} records, {len(of.benchmarks)} benchmarks"
        for side, of in sides
    ]


def _time_in_turns(
    against: str | None,
    selection: Selection,
    *,
    margin: float,
    quick: bool,
    seed: int,
    python: str | None,
    rounds_file: Path | None,
) -> tuple[list[Comparison], list[str]]:
    from dataclasses import asdict, replace

    from repro.regression.checkouts import checkout_of, repository, resolve, working_tree
    from repro.regression.session import QUICK, Plan, describe, judge_session, run_session

    signal.signal(signal.SIGTERM, _terminated)
    plan = replace(QUICK if quick else Plan(), seed=seed)
    root = repository()
    candidate, commit = working_tree(root, python or sys.executable), resolve(root, against)
    with checkout_of(root, commit, _say) as before:
        notes = [f"baseline {before.name}, candidate {candidate.name}"]
        _say(notes[0])
        session = run_session(before, candidate, selection, plan=plan, margin=margin, say=_say)
    if rounds_file:
        sides = {"baseline": before.name, "candidate": candidate.name, "margin": margin, "plan": asdict(plan)}
        rounds_file.parent.mkdir(parents=True, exist_ok=True)
        rounds_file.write_text(json.dumps({**sides, **asdict(session)}), encoding="utf-8")
    return judge_session(session, selection, margin=margin), [*notes, describe(session, plan)]


def _terminated(number: int, frame: Any) -> NoReturn:
    """End as an error does, so that worktree and environment are removed."""
    del number, frame
    raise TerminatedRunError("terminated", "Worktree and environment are removed; start it again.")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _show(comparisons: Sequence[Comparison], code: int, notes: Sequence[str]) -> None:
    from repro.regression.verdict import conclusion, grouped, reasons

    for title, table in grouped(comparisons):
        sys.stdout.write(f"{title}\n")
        rows = [(*row[:-1], f"[{STYLES.get(row[-1][0], 'dim')}]{row[-1]}[/]") for row in table.rows]
        write_table(table.columns, rows, markup_column=len(table.columns) - 1)
        sys.stdout.write("\n")
    for line in (*reasons(comparisons), *notes, conclusion(comparisons, code)):
        sys.stdout.write(f"{line}\n")
