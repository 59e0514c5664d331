"""Times of pytest-benchmark and their tables: speed beside the Trainer, growth, sameness, processes, load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from repro.benchfiles import Benchmark, newest, read_benchmarks
from repro.display.table import Table
from repro.report.tables import COLUMNS, SIZES, commit_of

Values = Mapping[str, Any]
OURS = ("packed-fp32", "packed-bf16")  # the variants that others are compared with


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


def title(timing: Benchmark) -> str:
    """Return what was timed, in words: no name of a test."""
    what, size, case = (timing.facts.get(name) for name in ("what", "size", "case"))
    if case:
        return f"{case}; processes: {_processes(timing)['where']}"
    if timing.group.startswith("growth with ") and isinstance(size, int | float):
        return f"{size:,.0f} {SIZES.get(timing.group.removeprefix('growth with '), '')}"
    return str(what or variant(timing) or timing.name).replace("-", " ")


def seconds(value: float) -> str:
    """Return a time for people, in the unit that suits it, with three digits."""
    factor, unit = next((f, u) for f, u in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")) if value * f >= 1 or u == "µs")
    scaled = value * factor
    digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2  # noqa: PLR2004
    return f"{scaled:,.{digits}f} {unit}"


def speed_tables(timings: Sequence[Benchmark]) -> dict[str, Table]:
    """Return the tables by file name; one without rows is left out."""
    timed = [t for t in timings if t.facts.get("unit") in ("step", "pass")]
    groups = list(dict.fromkeys(map(heading, timed)))
    timed.sort(key=lambda t: groups.index(heading(t)))
    grown = [t for t in timings if t.group.startswith("growth")]
    trained = [t for t in timings if "predictions_differing" in t.facts]
    alone = {t.facts["case"]: min(t.rounds) for t in trained if t.facts["processes"] == 1}
    by_name = {
        "speed": _table("speed", timed, lambda t: _beside_ours(t, timed)),
        "growth": _table("growth", sorted(grown, key=lambda t: (heading(t), t.number("size") or 0))),
        "sameness": _table("trainer", (t for t in timings if "equal_parameters" in t.facts))
        + _table("padded", (t for t in timings if "gradients" in t.facts and "steps" not in t.facts)),
        "processes": _table("processes", trained, lambda t: _processes(t, alone.get(t.facts["case"])))
        + _table("killed", (t for t in timings if t.facts.get("killed") is True), _processes),
        "load": _table("load", (t for t in timings if heading(t).startswith("load"))),
    }
    return {name: table for name, table in by_name.items() if table.rows}


def _table(name: str, timings: Iterable[Benchmark], more: Callable[[Benchmark], Values] = lambda _: {}) -> Table:
    return Table.of(COLUMNS[name], ({**_values(t), **more(t)} for t in timings))


def _values(t: Benchmark) -> Values:
    size, tweets = t.number("size") or 0, t.number("tweets")
    return {
        "t": t,
        "heading": heading(t),
        "growth": heading(t).removeprefix("growth with "),
        "rounds": len(t.rounds),
        "shortest": min(t.rounds),
        "longest": max(t.rounds),
        "size": size,
        "a_second": size / t.median,
        "tweets_per_second": tweets and tweets / t.median,
        "ms_a_tweet": 1000 * t.median / (tweets or 1),
        "peak": max(t.series("peak_mib"), default=None),
        "commit": commit_of(t.commit, t.dirty),
    }


def _beside_ours(t: Benchmark, timed: Sequence[Benchmark]) -> Values:
    """Return how often our packed rounds of the same group fit into one of this variant, and its share of the peak."""
    ours = [next((o for o in timed if heading(o) == heading(t) and variant(o) == name), None) for name in OURS]
    return {
        "variant": variant(t),
        "medians": [o and t.median / o.median for o in ours],
        "overall": [o and _cost(t) / _cost(o) for o in ours],
        "share": share_of_peak(t),
    }


def _processes(t: Benchmark, alone: float | None = None) -> Values:
    machines, codes = t.facts["machines"], t.facts.get("exit_codes")
    return {
        "where": str(t.facts["processes"])
        + (f" on {machines} machines ({t.facts['between']})" if machines != 1 else ""),
        "rows_per_second": (t.number("rows") or 0) / min(t.rounds),
        "of_one": alone and alone / min(t.rounds),
        "exit_codes": " and ".join(map(str, codes if isinstance(codes, list) else [codes])),
    }


def variant(t: Benchmark) -> str:
    """Return what distinguishes it within its group: `trainer-fp32`, `packed-bf16`."""
    named = t.facts.get("variant")  # else it stands in the name: test_step[notebook-packed-fp32]
    return str(named) if named else t.name.partition("[")[2].rstrip("]").split("-", 1)[-1]


def _cost(t: Benchmark) -> float:
    """Return the mean of its seconds, over that of its useful arithmetic where it tells it: the batches may differ."""
    return t.mean / mean(t.series("useful_flop") or [1.0])


def share_of_peak(t: Benchmark) -> float | None:
    """Return the useful arithmetic's share of the machine's multiplication speed, that of its fastest round."""
    flop, calibration, size = t.series("useful_flop"), t.series("calibration_seconds"), t.number("calibration_flop")
    if not flop or not calibration or not size:
        return None
    reached = median(f / s for f, s in zip(flop, t.rounds, strict=True))
    return reached / (size / min(calibration))
