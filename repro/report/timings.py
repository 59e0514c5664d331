"""Times of pytest-benchmark and their tables: speed beside the Trainer, growth, sameness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from repro.benchfiles import Benchmark, newest, read_benchmarks
from repro.display.table import Table
from repro.report.tables import COLUMNS, commit_of

Values = Mapping[str, Any]


def read_timings(results: Path) -> list[Benchmark]:
    """Read the newest times below `results/benchmarks`; RecordError for a damaged file."""
    return newest(read_benchmarks(results / "benchmarks"))


def heading(timing: Benchmark) -> str:
    """Return the group, with the GPU's name for what ran on one: it is never compared with a CPU's."""
    return ", ".join(filter(None, (timing.group, timing.accelerator)))


def speed_tables(timings: Sequence[Benchmark]) -> dict[str, Table]:
    """Return the tables by file name; one without rows is left out."""
    timed = [t for t in timings if t.facts.get("unit") in ("step", "pass")]
    groups = list(dict.fromkeys(map(heading, timed)))
    timed.sort(key=lambda t: groups.index(heading(t)))
    grown = [t for t in timings if t.group.startswith("growth")]
    by_name = {
        "speed": _table("speed", timed),
        "growth": _table("growth", sorted(grown, key=lambda t: (heading(t), t.number("size") or 0))),
        "sameness": _table("trainer", (t for t in timings if "equal_parameters" in t.facts))
        + _table("padded", (t for t in timings if "gradients" in t.facts and "steps" not in t.facts)),
    }
    return {name: table for name, table in by_name.items() if table.rows}


def _table(name: str, timings: Iterable[Benchmark]) -> Table:
    return Table.of(COLUMNS[name], map(_values, timings))


def _values(t: Benchmark) -> Values:
    tweets = t.number("tweets")
    return {
        "t": t,
        "heading": heading(t),
        "variant": variant(t),
        "growth": heading(t).removeprefix("growth with "),
        "rounds": len(t.rounds),
        "shortest": min(t.rounds),
        "longest": max(t.rounds),
        "size": t.number("size") or 0,
        "tweets_per_second": tweets and tweets / t.median,
        "ms_a_tweet": 1000 * t.median / (tweets or 1),
        "share": share_of_peak(t),
        "peak": max(t.series("peak_mib"), default=None),
        "commit": commit_of(t.commit, t.dirty),
    }


def variant(t: Benchmark) -> str:
    """Return what distinguishes it within its group: `trainer-fp32`, `packed-bf16`."""
    named = t.facts.get("variant")  # else it stands in the name: test_step[notebook-packed-fp32]
    return str(named) if named else t.name.partition("[")[2].rstrip("]").split("-", 1)[-1]


def share_of_peak(t: Benchmark) -> float | None:
    """Return the useful arithmetic's share of the machine's multiplication speed, that of its fastest round."""
    flop, calibration, size = t.series("useful_flop"), t.series("calibration_seconds"), t.number("calibration_flop")
    if not flop or not calibration or not size:
        return None
    reached = median(f / s for f, s in zip(flop, t.rounds, strict=True))
    return reached / (size / min(calibration))
