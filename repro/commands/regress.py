"""`repro regress`: the gate of a change, of quality and speed together."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.commands.options import write_table
from repro.errors import UsageError

if TYPE_CHECKING:
    from repro.display.table import Table
    from repro.regression.findings import Finding

STYLES = {"✓": "green", "✗": "red", "?": "yellow", "≠": "yellow"}


def regress(
    baseline: Annotated[Path, typer.Argument(help="A results folder, or a file of pytest-benchmark.")],
    candidate: Annotated[Path, typer.Argument(help="The same, of the change.")],
    new: Annotated[
        list[str] | None, typer.Option(help="What the baseline may lack: NAME or BEGINNING*; may be repeated.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Compare this alone: NAME or BEGINNING*; may be repeated.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Ratio of medians beyond which slower is too slow.")] = 1.10,
    baseline_where: Annotated[
        list[str] | None, typer.Option(help="Of the baseline SETTING=VALUE alone, and not paired by it.")
    ] = None,
    candidate_where: Annotated[list[str] | None, typer.Option(help="The same of the candidate.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Undecided and not judged fail too.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Compare a change with a baseline. Exit code 0: no regression; 1: one, or something is missing; 2: bad input.

    A classifier is named `finetune:validation`, a benchmark as in its file, a claim by its id. Where a benchmark
    cannot be compared (another machine, not calibrated) and nothing fails, the exit code is 2 too.
    """
    from repro.claims.catalogue import load_catalogue
    from repro.regression.findings import Rules, exit_code
    from repro.regression.gate import compare
    from repro.regression.render import side_table, to_data, to_junit, to_markdown
    from repro.regression.sources import parse_where, read_source, refuse_mixed
    from repro.sections import sections_named

    if not (math.isfinite(threshold) and threshold >= 1):
        raise UsageError(f"--threshold is {threshold}, expected a ratio of at least 1", "1.10 is ten per cent slower.")
    picks = parse_where(baseline_where or []), parse_where(candidate_where or [])
    across = frozenset((*picks[0], *picks[1]))
    seeded = {section.name: section.seeded for section in sections_named([])}
    unseeded = frozenset(name for name in seeded if not seeded[name])
    before = read_source(baseline, picks[0], unseeded=unseeded)
    after = read_source(candidate, picks[1], unseeded=unseeded)
    refuse_mixed(before, "baseline", across)
    refuse_mixed(after, "candidate", across)
    findings = compare(
        before,
        after,
        rules=Rules(only=tuple(only or ()), new=tuple(new or ()), threshold=threshold, across=across),
        catalogue=load_catalogue(),
        experiments=seeded,
    )
    code, sides = exit_code(findings, strict=strict), side_table(before, after, across)
    if junit:
        junit.write_bytes(to_junit(findings))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(to_markdown(findings, code, sides))
    if as_json:
        sys.stdout.write(json.dumps(to_data(findings, code, sides), indent=1, ensure_ascii=False) + "\n")
    else:
        _show(findings, code, sides)
    raise typer.Exit(code)


def _show(findings: Sequence[Finding], code: int, sides: Table) -> None:
    from repro.regression.render import conclusion, grouped, remarks

    for title, table in grouped(findings):
        sys.stdout.write(f"{title}\n")
        rows = [(*row[:-1], f"[{STYLES.get(row[-1][0], 'dim')}]{row[-1]}[/]") for row in table.rows]
        write_table(table.columns, rows, markup_column=len(table.columns) - 1)
        sys.stdout.write("\n")
    used = (f"{side} {path}: {held} records; benchmarks: {files}" for side, path, held, files in sides.rows)
    for line in (*remarks(findings), *used, conclusion(findings, code)):
        sys.stdout.write(f"{line}\n")
