"""The two sides of a comparison: a results folder's records and benchmarks, or one benchmark file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.benchfiles import Benchmark, read_benchmarks
from repro.errors import ResultsError, UsageError, unknown
from repro.records.record import RunRecord, Settings, read_records

Where = Mapping[str, frozenset[str]]  # the values of each named setting that count


@dataclass(frozen=True, kw_only=True)
class Source:
    """What one side measured; `speed_only` where it is a benchmark file."""

    path: Path
    records: tuple[RunRecord, ...]
    benchmarks: tuple[Benchmark, ...]
    speed_only: bool

    @property
    def names(self) -> list[str]:
        """What can be named: `experiment:classifier` of the records, and benchmarks in full and in short."""
        classifiers = [f"{r.experiment}:{name}" for r in self.records for name in (*r.rows, *r.scores)]
        return list(dict.fromkeys((*classifiers, *(n for b in self.benchmarks for n in (b.name, b.short)))))


def parse_where(given: Sequence[str]) -> Where:
    """Read `setting=value` or `setting=value,value`, several of which must all hold; UsageError for another form."""
    known = list(Settings.model_fields)
    found: dict[str, frozenset[str]] = {}
    for text in given:
        name, sign, values = text.partition("=")
        if name not in known:
            raise unknown("setting", name, known)
        if not sign or "" in values.split(",") or name in found:
            raise UsageError(f"{text!r} names no values, or {name} twice", f"Write {name}=VALUE or {name}=VALUE,VALUE.")
        found[name] = frozenset(values.split(","))
    return found


def read_source(path: Path, where: Where, *, unseeded: frozenset[str]) -> Source:
    """Read a side and keep what `where` picks; ResultsError where there is nothing, RecordError for a bad file.

    The experiments named in `unseeded` have one record whatever the seed, so a seed does not pick among them.
    """
    if path.is_file():
        records: list[RunRecord] = []
        benchmarks = read_benchmarks(path)
    elif path.is_dir():
        records = read_records(path) if (path / "runs").is_dir() else []
        benchmarks = read_benchmarks(path / "benchmarks") if (path / "benchmarks").is_dir() else []
    else:
        raise ResultsError(f"there is no file or folder {path}", "Name a results folder or a benchmark file.")
    if not records and not benchmarks:
        raise ResultsError(
            f"{path} holds neither records (runs/) nor benchmarks (benchmarks/)",
            "Name a results folder that something was run into, or a benchmark file that holds some.",
        )
    settings = [{name: str(value) for name, value in record.settings} for record in records]
    ways = settings or [dict(benchmark.way) for benchmark in benchmarks]
    if not any(_picked(where, way) for way in ways):
        held = (f"{name} is {', '.join(sorted({way.get(name, 'not told') for way in ways}))}" for name in where)
        raise UsageError(f"nothing in {path} was run that way", f"Pick what there is: {'; '.join(held)}.")
    seedless = {name: values for name, values in where.items() if name != "seed"}
    return Source(
        path=path,
        records=tuple(
            record
            for record, way in zip(records, settings, strict=True)
            if _picked(seedless if record.experiment in unseeded else where, way)
        ),
        benchmarks=tuple(benchmark for benchmark in benchmarks if _picked(where, dict(benchmark.way))),
        speed_only=path.is_file(),
    )


def refuse_mixed(source: Source, side: str, across: frozenset[str]) -> None:
    """Refuse a side with several values of a setting that is compared across; UsageError tells how to pick one."""
    for name in sorted(across - {"seed"}):
        values = {str(getattr(record.settings, name)) for record in source.records}
        values |= {value for benchmark in source.benchmarks for key, value in benchmark.way if key == name}
        if len(values) > 1:
            raise UsageError(
                f"{source.path} holds {name} {' and '.join(sorted(values))}: which one is the {side}?",
                f"Pick one: --{side}-where {name}={sorted(values)[0]}",
            )


def _picked(where: Where, found: Mapping[str, str]) -> bool:
    """Tell whether what was found agrees; a setting that is not told (a benchmark's seed) does not speak against it."""
    return all(found[name] in values for name, values in where.items() if name in found)
