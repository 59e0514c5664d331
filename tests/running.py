"""A section measured without a results folder, what of its record repeats, a module run, a file of cases."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from repro.records.schema import RunRecord
from repro.sections import section_named
from repro.sections.context import Context
from repro.sections.runner import Run

# facts that say in how many parts a run was trained, and whether there was room for its states and its model
PARTS = {"resumed_after_steps", "states_not_saved", "saved_model", "not_saved"}
TIMED = {"train_seconds", "tweets_per_second"}
ROOT = Path(__file__).parents[1]


def measure(name: str, context: Context, seed: int = 0) -> RunRecord:
    """Run the section of that name once and return its record, not written."""
    return Run.prepare(section_named(name), context, seed).measure()


def result_of(record: RunRecord) -> dict[str, Any]:
    """Return all of a record that decides a claim: not seconds, memory, provenance and in how many parts it was run."""
    fields = record.model_dump(exclude={"seconds", "provenance", "peak_mib"})
    fields["facts"] = {name: value for name, value in fields["facts"].items() if name not in PARTS}
    fields["epochs"] = [{name: x for name, x in epoch.items() if name not in TIMED} for epoch in fields["epochs"]]
    return fields


def cases(file: str) -> list[dict[str, str]]:
    """The rows of a table of cases in a folder of the tests, its columns parted by bars."""
    lines = (ROOT / "tests" / file).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(lines, delimiter="|", quoting=csv.QUOTE_NONE))


def run_module(name: str, *arguments: object) -> str:
    """Run `python -m NAME ARGUMENTS` to its end, which must be a good one, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=1500,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
