"""How often the gate accuses code that did not change: sessions of HEAD against itself, half of them disturbed.

`python -m benchmarks.aa --sessions 20` appends a line a session to results/aa/sessions.jsonl: every round's seconds,
when, how long, and whether a process took memory bandwidth in bursts beside it. `python -m benchmarks.aa` prints the
table of what the rule, and the one before it, say of those rounds, and of slowdowns planted in them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import typer

from repro.display import Table
from repro.records.provenance import utc_now
from repro.regression.checkouts import checkout_of, repository, resolve, working_tree
from repro.regression.session import QUICK, Seconds, Session, accused, judge_session, run_session
from repro.regression.verdict import FAILURES, Selection

SESSIONS = Path("results", "aa", "sessions.jsonl")
IDLE = SESSIONS.with_name("idle.jsonl")  # of `nox -s stacks` and of a commit with a slower step, nothing else running
DIGITS = 5  # of a second: more than a clock's noise
OLD_THRESHOLD, OLD_LEVEL = 1.10, 0.05
DISTURBER = """
import random, time
import numpy as np
source = np.ones(2**25)  # 256 MiB
target = np.empty_like(source)
while True:
    end = time.monotonic() + random.uniform(0.2, 2.0)
    while time.monotonic() < end:
        np.copyto(target, source)
    time.sleep(random.uniform(0.2, 3.0))
"""

Measured = Mapping[str, Any]


def measure(seed: int) -> Measured:
    """Measure HEAD against this tree once, disturbed where the seed is odd."""
    root, disturbed, started, start = repository(), seed % 2 == 1, utc_now(), time.monotonic()
    with ExitStack() as stack:
        baseline = stack.enter_context(checkout_of(root, resolve(root, "HEAD"), lambda line: None))
        candidate = working_tree(root, sys.executable)
        if disturbed:
            disturber = stack.enter_context(subprocess.Popen([sys.executable, "-c", DISTURBER]))
            stack.callback(disturber.kill)
        session = run_session(baseline, candidate, Selection(), plan=replace(QUICK, seed=seed))
    return {
        "started": started, "seconds": round(time.monotonic() - start), "disturbed": disturbed,
        "baseline": baseline.name, "candidate": candidate.name,
        "first": _rounded(session.first), "again": _rounded(session.again),
    }  # fmt: skip


def read_sessions(path: Path = SESSIONS) -> list[Measured]:
    """Return the sessions of a file, oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def failing(session: Measured, *, factor: float = 1.0, fresh: Measured | None = None) -> list[str]:
    """Return the benchmarks that fail, the candidate's seconds times `factor`; `fresh` is the second measurement.

    Without it the second measurement is the session's own.
    """
    first, again = slowed(session["first"], factor), session["again"]
    if fresh:
        slow = slowed(fresh["first"], factor)
        again = {name: slow[name] for name in accused(first)}
    judged = judge_session(Session(first=first, again=again), Selection())
    return [comparison.name for comparison in judged if comparison.answer in FAILURES]


def failing_by_the_old_rule(baseline: Measured, candidate: Measured, *, factor: float = 1.0) -> list[str]:
    """Return what comparing two sessions' files accused: medians beyond 1.10 and Mann-Whitney at 5 %."""
    from scipy.stats import mannwhitneyu

    names = []
    for name in candidate["first"]:
        before = [a for launch in baseline["first"][name] for a, _ in launch]
        after = [factor * b for launch in candidate["first"][name] for _, b in launch]
        slower = mannwhitneyu(after, before, alternative="greater").pvalue <= OLD_LEVEL
        if slower and median(after) / median(before) > OLD_THRESHOLD:
            names.append(name)
    return names


def table(sessions: Sequence[Measured], idle: Sequence[Measured] = ()) -> Table:
    """One row a question: how many benchmarks fail of how many, with the exact 95 % interval, under either rule.

    Slowdowns are planted by arithmetic, but for the `idle` sessions that say what was `planted` in the code. The old
    rule compares each session with the next one.
    """
    rows: list[tuple[str, str, str]] = []

    def add(what: str, of: Sequence[Measured], **planted: Any) -> None:
        following = [*of[1:], *of[:1]]
        tried = sum(len(s["first"]) for s in of)
        fresh = following if planted else [None] * len(of)
        ours = sum(len(failing(s, fresh=t, **planted)) for s, t in zip(of, fresh, strict=True))
        old = sum(len(failing_by_the_old_rule(t, s, **planted)) for s, t in zip(of, following, strict=True))
        rows.append((f"{what}: {len(of)} sessions", share(ours, tried), share(old, tried)))

    alike = [s for s in idle if not s["planted"]]
    add("unchanged, quiet", [s for s in sessions if not s["disturbed"]])
    add("unchanged, disturbed", [s for s in sessions if s["disturbed"]])
    add("unchanged, idle, another library", alike)
    for factor in (1.1, 1.2):
        add(f"planted × {factor}, quiet or disturbed", sessions, factor=factor)
        add(f"planted × {factor}, idle", alike, factor=factor)
    add("a step of × 1.2 in the code, idle", [s for s in idle if s["planted"]])
    return Table(("what", "fails in turns [95 %]", "fails by two files [95 %]"), tuple(rows))


def share(count: int, of: int) -> str:
    """Return `1 of 120 [0.0 %, 4.6 %]`: Clopper and Pearson's exact interval."""
    from scipy.stats import binomtest

    if not of:
        return "none measured"
    low, high = binomtest(count, of).proportion_ci(method="exact")
    return f"{count} of {of} [{low:.1%}, {high:.1%}]"


def slowed(seconds: Mapping[str, Any], factor: float) -> Seconds:
    """Return the rounds with the candidate's seconds times `factor`."""
    return {name: [[(a, factor * b) for a, b in launch] for launch in launches] for name, launches in seconds.items()}


def _rounded(seconds: Seconds) -> Measured:
    return {
        name: [[[round(a, DIGITS), round(b, DIGITS)] for a, b in launch] for launch in launches]
        for name, launches in seconds.items()
    }


def main(sessions: int = 0, output: Path = SESSIONS) -> None:
    """Measure so many sessions, every second one disturbed, and append each; without a number print the table."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that worktree and disturber are removed
    output.parent.mkdir(parents=True, exist_ok=True)
    for number in range(sessions):
        line = json.dumps(measure(number), separators=(",", ":"))
        with output.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    if not sessions:
        sys.stdout.write(table(read_sessions(output), read_sessions(IDLE)).to_markdown())


if __name__ == "__main__":
    typer.run(main)
