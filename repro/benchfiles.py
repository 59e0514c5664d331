"""pytest-benchmark's files, typed: the one reader of them.

A benchmark's `setup` is how it was run, in RunSpec's fields, as far as its file says; `facts` are whatever else it
notes in `extra_info`: one value, or a list with one value a round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field, JsonValue

from repro.records.store import json_files, read_json
from repro.spec import RunSpec

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SETTINGS = tuple(field.name for field in fields(RunSpec) if field.name not in {"section", "seed"})


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Entry(_Loose):
    name: str
    fullname: str
    group: str | None = None
    rounds: tuple[Seconds, ...] = Field(validation_alias=AliasPath("stats", "data"), min_length=1)
    extra_info: dict[str, JsonValue] = {}


class Machine(_Loose):
    """Where a file was written: the accelerator that was used, None for the CPU, and the versions of the libraries."""

    accelerator: str | None = None
    libraries: dict[str, str] = {}


class _File(_Loose):
    written: datetime = Field(alias="datetime")
    machine_info: Machine
    commit: str | None = Field(None, validation_alias=AliasPath("commit_info", "id"))
    dirty: bool | None = Field(None, validation_alias=AliasPath("commit_info", "dirty"))
    benchmarks: list[_Entry]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark of one file: its rounds in seconds, how it was run, and where and when.

    `setup` always holds the device (`cpu` or `cuda`).
    """

    name: str
    fullname: str
    group: str
    rounds: tuple[float, ...]
    setup: Mapping[str, str]
    facts: Mapping[str, JsonValue]
    machine: Machine
    commit: str | None
    dirty: bool
    written: datetime

    @property
    def median(self) -> float:
        """The median round, in seconds."""
        return median(self.rounds)

    @property
    def identity(self) -> Any:
        """What two measurements of the same thing share: name, setup and accelerator, whatever file it stands in."""
        return self.name, tuple(sorted(self.setup.items())), self.machine.accelerator

    def series(self, name: str) -> list[float]:
        """Return the fact that has one number a round; empty where there is none."""
        values = self.facts.get(name)
        if not isinstance(values, list) or len(values) != len(self.rounds):
            return []
        return [float(value) for value in values if isinstance(value, int | float)]

    def number(self, name: str) -> float | None:
        """Return the fact as a number, the first of a list; None where it is neither."""
        value = self.facts.get(name)
        first = value[0] if isinstance(value, list) and value else value
        return float(first) if isinstance(first, int | float) else None


def read_benchmarks(path: Path) -> list[Benchmark]:
    """Read a file, or all below a folder, oldest first; RecordError names the file and the first thing wrong in it."""
    remedy = "Run the benchmarks again with --benchmark-save-data (every round's time is needed), or move the file out."
    paths = json_files(path) if path.is_dir() else [path] if path.is_file() and path.suffix == ".json" else []
    files = [read_json(file, _File, "benchmark file", remedy) for file in paths]
    benchmarks = (_benchmark(entry, file) for file in files for entry in file.benchmarks)
    return sorted(benchmarks, key=lambda benchmark: benchmark.written)


def newest(benchmarks: Iterable[Benchmark]) -> list[Benchmark]:
    """Return the newest of each identity, in the order in which they were measured."""
    latest: dict[Any, Benchmark] = {}
    for benchmark in sorted(benchmarks, key=lambda b: b.written):
        latest.pop(benchmark.identity, None)  # so that what was measured together stays together
        latest[benchmark.identity] = benchmark
    return list(latest.values())


def _benchmark(entry: _Entry, file: _File) -> Benchmark:
    machine, extra = file.machine_info, entry.extra_info
    setup = {"device": "cuda" if machine.accelerator else "cpu"}
    setup |= {name: str(extra[name]) for name in SETTINGS if extra.get(name) is not None}
    return Benchmark(
        name=entry.name, fullname=entry.fullname, group=entry.group or "", rounds=entry.rounds, setup=setup,
        facts={name: value for name, value in extra.items() if name not in SETTINGS},
        machine=machine.model_copy(update={"accelerator": None}) if setup["device"] == "cpu" else machine,
        commit=file.commit, dirty=bool(file.dirty),
        written=file.written if file.written.tzinfo else file.written.replace(tzinfo=UTC),
    )  # fmt: skip
