"""The one page that shows tweets: made beside the report on request, and never where git would take it in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from repro.display.table import Table
from repro.errors import ResultsError
from repro.records.schema import LABELS, RunRecord
from repro.records.store import newest_runs
from repro.sections.finetune import table_with_texts

NAME = "report-with-texts.html"
Rows = Mapping[str, Sequence[tuple[str, int]]]
STYLE = """:root { color-scheme: light dark; } body { font: 1rem/1.5 system-ui, sans-serif; margin: auto;
max-width: 70rem; padding: 1rem; } table { border-collapse: collapse; } th, td { text-align: left; vertical-align: top;
padding: .3rem .6rem; border-bottom: 1px solid #8885; overflow-wrap: anywhere; }"""


def write_texts(records: Sequence[RunRecord], rows: Rows, content: Mapping[str, str], results: Path) -> Path:
    """Write hardest, easiest, longest and repeated tweets with their texts; ResultsError where git could commit it.

    `rows` are the corpus's (text, label) by split and `content` its fingerprints: only runs on that very corpus are
    shown, since a row number means nothing in another.
    """
    page = results / NAME
    refuse_committable(page)
    same = [r for r in records if {name: s.content for name, s in r.corpus.splits.items()} == dict(content)]
    tables = text_tables(same, rows)
    if not tables:
        raise ResultsError(
            f"no record below {results / 'runs'} is of this corpus: there is no row to look up",
            "Name the corpus that the runs were made on, whole.",
        )
    body = "".join(f"<h2>{escape(title)}</h2>\n{_html(table)}\n" for title, table in tables.items())
    try:
        page.write_text(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Tweets behind the report</title>'
            f"<style>{STYLE}</style></head><body>\n<h1>Tweets behind the report</h1>\n<p>For reading on this machine: "
            f"the corpus may not be redistributed, so neither may this page.</p>\n{body}</body></html>\n",
            encoding="utf-8",
        )
    except OSError as error:
        raise ResultsError(f"cannot write {page}: {error.strerror}", "Name another folder with --results.") from None
    return page


def refuse_committable(page: Path) -> None:
    """Raise ResultsError where the page would lie in a git work tree that does not ignore it."""
    try:
        asked = subprocess.run(
            ["git", "check-ignore", "--quiet", page.name],
            cwd=page.parent,
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return  # without git nothing is committed
    outside = b"not a git repository" in asked.stderr
    if asked.returncode != 0 and not outside:  # 1: not ignored; another: git will not say
        raise ResultsError(
            f"{page} would lie where git takes it in, and the tweets may not be redistributed; it was not written",
            f"Add {NAME} to the .gitignore there, or name a folder outside with --results.",
        )


def text_tables(records: Sequence[RunRecord], rows: Rows) -> dict[str, Table]:
    """Return the page's tables by title."""
    tables = {}
    for run in newest_runs(records, "finetune"):
        title = f"Hardest and easiest validation tweets: {run.spec.slug}, seed {run.settings.seed}"
        tables[title] = table_with_texts(run, [text for text, _ in rows["validation"]])
    for look in newest_runs(records, "corpus-facts")[-1:]:
        facts: Any = look.facts
        longest = [(str(r["row"]), str(r["words"]), rows["train"][r["row"]][0]) for r in facts.get("longest_rows", [])]
        tables["Longest training tweets"] = Table(("row", "words", "text"), tuple(longest))
        two = [
            (
                ", ".join(map(str, same)),
                ", ".join(LABELS[rows["train"][row][1]] for row in same),
                rows["train"][same[0]][0],
            )
            for same in facts.get("two_labels_in_train", [])
        ]
        tables["Training tweets with two labels"] = Table(("rows", "labels", "text"), tuple(two))
        also = [
            (split, str(row), LABELS[rows[split][row][1]], rows[split][row][0])
            for split, found in facts.get("also_in_train", {}).items()
            for row in found
        ]
        tables["Tweets that also stand in training"] = Table(("split", "row", "label", "text"), tuple(also))
    return tables


def _html(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in table.rows]
    return f"<table><tr>{head}</tr>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
