"""Times from pytest-benchmark's files: of each benchmark and accelerator the newest, with median and raw rounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from repro.errors import ResultsError
from repro.report.charts import Bar, bars

SETTINGS = ("recipe", "corpus", "precision", "batching")  # that a benchmark's `extra_info` may tell


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Stats(_Loose):
    median: float = Field(ge=0)
    min: float = Field(ge=0)
    max: float = Field(ge=0)
    mean: float = Field(ge=0)
    rounds: int = Field(ge=1)
    data: list[float] = []


class _Benchmark(_Loose):
    name: str
    fullname: str
    group: str | None
    stats: _Stats
    extra_info: dict[str, object] = {}


class _Commit(_Loose):
    id: str | None
    dirty: bool | None = None


class _Machine(_Loose):
    accelerator: str | None = None


class _File(_Loose):
    datetime: str
    machine_info: _Machine = _Machine()
    commit_info: _Commit
    benchmarks: list[_Benchmark]


class Timing(_Loose):
    """One benchmark's newest times in seconds, over all its raw rounds, and what it ran.

    `data` are the rounds, `facts` what the benchmark says of itself: a value, or a list with one a round. The `group`
    of what ran on a GPU ends in the GPU's name, so that it is never held against a CPU's.
    """

    name: str
    group: str
    median: float
    shortest: float
    longest: float
    rounds: int
    basis: str
    commit: str
    measured: str
    mean: float = 0.0
    data: list[float] = []
    facts: dict[str, object] = {}

    def series(self, name: str) -> list[float]:
        """Return the fact that has one number a round; empty where there is none."""
        found = self.facts.get(name)
        if not isinstance(found, list) or len(found) != len(self.data):
            return []
        return [float(value) for value in found if isinstance(value, int | float)]


def read_timings(results: Path) -> list[Timing]:
    """Read the newest times of every benchmark and accelerator below `results/benchmarks`.

    ResultsError names a damaged file.
    """
    newest: dict[tuple[str, str], Timing] = {}
    files = [(_read(path), path) for path in sorted((results / "benchmarks").rglob("*.json"))]
    for file, _ in sorted(files, key=lambda found: (found[0].datetime, found[1].name)):
        for found in file.benchmarks:
            key = found.fullname, _accelerator(file, found)
            newest.pop(key, None)  # so that what was measured together stays together
            newest[key] = _timing(file, found)
    return list(newest.values())


def grouped_bars(timings: Sequence[Timing]) -> list[tuple[str, list[tuple[Timing, Bar]]]]:
    """Return the timings by group, each with its bar; a group shares one axis."""
    found = []
    for name, members in groupby(sorted(timings, key=lambda t: t.group), key=lambda t: t.group):
        group = list(members)
        found.append((name, list(zip(group, bars([(t.median, t.shortest, t.longest) for t in group]), strict=True))))
    return found


def seconds(value: float) -> str:
    """Return a time for people, in the unit that suits it, with three digits."""
    factor, unit = next((f, u) for f, u in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")) if value * f >= 1 or u == "µs")
    scaled = value * factor
    digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2  # noqa: PLR2004
    return f"{scaled:,.{digits}f} {unit}"


def _timing(file: _File, found: _Benchmark) -> Timing:
    commit = "unknown" if file.commit_info.id is None else file.commit_info.id[:12]
    return Timing(
        name=found.name,
        group=", ".join(filter(None, (found.group, _accelerator(file, found)))),
        median=found.stats.median,
        shortest=found.stats.min,
        longest=found.stats.max,
        rounds=found.stats.rounds,
        basis=", ".join(str(found.extra_info[key]) for key in SETTINGS if key in found.extra_info),
        commit=commit + (" with changes" if file.commit_info.dirty else ""),
        measured=file.datetime[:10],
        mean=found.stats.mean,
        data=found.stats.data,
        facts=found.extra_info,
    )


def _accelerator(file: _File, found: _Benchmark) -> str:
    """Return the GPU's name; nothing for what ran on the CPU, which it says itself where the session had a GPU."""
    return "" if found.extra_info.get("device") == "cpu" else file.machine_info.accelerator or ""


def _read(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except OSError as error:
        what = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
    raise ResultsError(
        f"{path} is no file of pytest-benchmark: {what}",
        "Move it out of the results folder, or restore it; no report was written.",
    )
