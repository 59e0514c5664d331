"""How often the gate accuses code that did not change: sessions of HEAD against itself, half of them disturbed.

`python -m benchmarks.aa measure --sessions 20` appends a line a session to results/aa/sessions.jsonl: every round's
seconds, when, how long, and whether a process took memory bandwidth in bursts beside it. `python -m benchmarks.aa`
prints the table of what the rule, and the one before it, say of those rounds, and of slowdowns planted in them.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from repro.display.table import Table
from repro.records.provenance import utc_now
from repro.regression.checkouts import checkout_of, repository, resolve, working_tree
from repro.regression.session import Plan, Seconds, Session, judge_session, run_session
from repro.regression.speed import accused
from repro.regression.verdict import FAILURES, Selection

SESSIONS = Path("results", "aa", "sessions.jsonl")
BURST, PAUSE = (0.2, 2.0), (0.2, 3.0)  # seconds, drawn evenly between
BYTES = 256 * 2**20
DIGITS = 5  # of a second: more than a clock's noise
OLD_THRESHOLD, OLD_LEVEL = 1.10, 0.05

Measured = Mapping[str, Any]


def measure(sessions: int, output: Path, plan: Plan) -> None:
    """Measure HEAD against this tree that many times, every second time disturbed, and append each when it is done."""
    root = repository()
    commit = resolve(root, "HEAD")
    output.parent.mkdir(parents=True, exist_ok=True)
    say = sys.stderr.write
    for number in range(sessions):
        disturbed = number % 2 == 1
        say(f"session {number + 1} of {sessions}{', disturbed' if disturbed else ''}\n")
        started, start = utc_now(), time.monotonic()
        with checkout_of(root, commit, lambda line: None) as baseline, disturbance(on=disturbed):
            candidate = working_tree(root, sys.executable)
            session = run_session(baseline, candidate, Selection(), plan=replace(plan, seed=number))
        line = {
            "started": started, "seconds": round(time.monotonic() - start), "disturbed": disturbed,
            "baseline": baseline.name, "candidate": candidate.name,
            "first": _rounded(session.first), "again": _rounded(session.again),
        }  # fmt: skip
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


@contextmanager
def disturbance(*, on: bool) -> Iterator[None]:
    """Let a process take memory bandwidth in bursts meanwhile."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.aa", "disturb"]) if on else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def disturb() -> None:
    """Copy memory in bursts until somebody ends this process."""
    import numpy as np

    source, target = np.ones(BYTES // 8), np.empty(BYTES // 8)
    while True:
        end = time.monotonic() + random.uniform(*BURST)  # noqa: S311 (noise, no secret)
        while time.monotonic() < end:
            np.copyto(target, source)
        time.sleep(random.uniform(*PAUSE))  # noqa: S311


def read_sessions(path: Path = SESSIONS) -> list[Measured]:
    """Return the sessions of a file, oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def failing(session: Measured, *, factor: float = 1.0, fresh: Measured | None = None) -> list[str]:
    """Return the benchmarks that fail, the candidate's seconds times `factor`; `fresh` is the second measurement.

    Without it the second measurement is the session's own.
    """
    first = slowed(session["first"], factor)
    again = slowed(fresh["first"], factor) if fresh else session["again"]
    if fresh:
        again = {name: again[name] for name in accused(first)}
    judged = judge_session(Session(first=first, again=again, absent=()), Selection())
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


def table(sessions: Sequence[Measured]) -> Table:
    """One row a question: how many benchmarks fail of how many, with the exact 95 % interval, under either rule."""
    rows = []
    following = [*sessions[1:], sessions[0]]
    for what, chosen in (("quiet", False), ("disturbed", True)):
        pairs = [(s, t) for s, t in zip(sessions, following, strict=True) if s["disturbed"] is chosen]
        tried = sum(len(s["first"]) for s, _ in pairs)
        ours = sum(len(failing(s)) for s, _ in pairs)
        old = sum(len(failing_by_the_old_rule(t, s)) for s, t in pairs)
        rows.append((f"unchanged, {what}: {len(pairs)} sessions", share(ours, tried), share(old, tried)))
    for factor in (1.1, 1.2):
        pairs = list(zip(sessions, following, strict=True))
        tried = sum(len(s["first"]) for s, _ in pairs)
        ours = sum(len(failing(s, factor=factor, fresh=t)) for s, t in pairs)
        old = sum(len(failing_by_the_old_rule(t, s, factor=factor)) for s, t in pairs)
        rows.append((f"planted: candidate × {factor}", share(ours, tried), share(old, tried)))
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


def _rounded(seconds: Seconds) -> dict[str, list[list[list[float]]]]:
    return {
        name: [[[round(a, DIGITS), round(b, DIGITS)] for a, b in launch] for launch in launches]
        for name, launches in seconds.items()
    }


def main() -> None:
    """Measure, disturb, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("table", "measure", "disturb"), default="table")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--output", type=Path, default=SESSIONS)
    parser.add_argument("--launches", type=int, default=Plan().launches)
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that worktree and disturber are removed
    if given.what == "measure":
        measure(given.sessions, given.output, Plan(launches=given.launches, rounds=given.rounds))
    elif given.what == "disturb":
        disturb()
    else:
        sys.stdout.write(table(read_sessions(given.output)).to_markdown())


if __name__ == "__main__":
    main()
