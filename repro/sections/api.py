"""What the notebook's calls do on the installed libraries: each is tried, offline (seed, all sections)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from repro.display.table import Table
from repro.records.schema import Measurements, RunRecord
from repro.records.store import newest_runs
from repro.sections.api_trials import LOGIN, PIPELINES, TRAINER, NoEffectError
from repro.sections.context import Context
from repro.sections.section import Section

if TYPE_CHECKING:
    from repro.assets.corpus import Corpus

SECONDS = 300


def run(context: Context, _seed: int) -> Measurements:
    """Try every call in a process of its own; no recipe, corpus or seed changes anything."""
    # not torchrun's variables: the process is one by itself
    alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    with context.timed("try"):
        done = subprocess.run(
            [sys.executable, "-m", "repro.sections.api_trials"],
            env={**alone, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"},
            capture_output=True, encoding="utf-8", check=False, timeout=SECONDS,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the trials ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    calls: list[dict[str, Any]] = json.loads(done.stdout)
    running = [trial["call"] for trial in calls if trial["runs"]]
    instead = {trial["call"]: trial["instead"] for trial in calls if trial["instead_runs"]}
    return Measurements(
        facts={
            "calls": list(calls),
            "trainer_accepts_tokenizer": TRAINER in running,
            "login_command": LOGIN if LOGIN in running else instead.get(LOGIN, "none"),
            "pipelines": [task for task in PIPELINES if any(f'pipeline("{task}"' in call for call in running)],
        },
    )


def printed(record: RunRecord, _corpus: Corpus) -> Iterator[Table]:
    """Show the calls that no longer run."""
    yield api_table(record)


def tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return the table of the newest record."""
    runs = newest_runs(records, SECTION.name)
    return {"api": api_table(runs[-1])} if runs else {}


def api_table(record: RunRecord) -> Table:
    """One row a call of the notebook that fails or has no effect, with what it says and what to write instead."""
    rows = []
    for trial in record.at("facts.calls"):
        if not trial["runs"]:
            tried = {True: "", False: " (tried: fails as well)", None: " (not tried)"}[trial["instead_runs"]]
            kind = "no effect" if trial["error"] == NoEffectError.__name__ else trial["error"]
            rows.append((trial["call"], f"{kind}: {trial['message']}", trial["instead"] + tried))
    return Table(("what no longer runs", "what it says", "what to write instead"), tuple(rows))


SECTION = Section(
    name="api",
    heading="Libraries",
    what="the notebook's calls, tried on the installed libraries",
    run=run,
    printed=printed,
    tables=tables,
)
