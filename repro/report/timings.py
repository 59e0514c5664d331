"""Times from pytest-benchmark's files: the newest of each benchmark, setup and accelerator, with all its rounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from repro.benchfiles import Benchmark, newest, read_benchmarks
from repro.report.charts import Bar, bars


def read_timings(results: Path) -> list[Benchmark]:
    """Read the newest times below `results/benchmarks`; RecordError for a damaged file."""
    folder = results / "benchmarks"
    return newest(read_benchmarks(folder)) if folder.is_dir() else []


def heading(timing: Benchmark) -> str:
    """Return the group, with the GPU's name for what ran on one: it is never compared with a CPU's."""
    return ", ".join(filter(None, (timing.group, timing.machine.accelerator)))


def basis(timing: Benchmark) -> str:
    """Return in words what was run and how, as far as the file says."""
    if timing.spec:
        return timing.spec.label
    return ", ".join(value for name, value in timing.setup.items() if name != "device")


def commit_of(timing: Benchmark) -> str:
    """Return the beginning of the commit, and whether the code differed from it."""
    return "unknown" if timing.commit is None else timing.commit[:12] + (" with changes" if timing.dirty else "")


def grouped_bars(timings: Sequence[Benchmark]) -> list[tuple[str, list[tuple[Benchmark, Bar]]]]:
    """Return the timings by heading, each with its bar; those under one heading share an axis."""
    groups = []
    for name, members in groupby(sorted(timings, key=heading), key=heading):
        group = list(members)
        spans = [(t.median, min(t.rounds), max(t.rounds)) for t in group]
        groups.append((name, list(zip(group, bars(spans), strict=True))))
    return groups


def seconds(value: float) -> str:
    """Return a time for people, in the unit that suits it, with three digits."""
    factor, unit = next((f, u) for f, u in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")) if value * f >= 1 or u == "µs")
    scaled = value * factor
    digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2  # noqa: PLR2004
    return f"{scaled:,.{digits}f} {unit}"
