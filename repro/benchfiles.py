"""pytest-benchmark's files, typed: the one reader of them.

A benchmark's `setup` is how it was run, in RunSpec's fields, as far as its file says; `facts` are whatever else it
notes in `extra_info`: one value, or a list with one value a round.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from repro.errors import RecordError
from repro.spec import NUMBERS, RunSpec

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SETTINGS = tuple(field.name for field in fields(RunSpec) if field.name not in {"section", "seed"})


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Stats(_Loose):
    data: list[Seconds] = Field(min_length=1)  # one a round


class _Entry(_Loose):
    name: str
    fullname: str
    group: str | None = None
    stats: _Stats
    extra_info: dict[str, JsonValue] = {}


class _Commit(_Loose):
    id: str | None = None
    dirty: bool | None = None


class Machine(_Loose):
    """Where a file was written: the accelerator that was used, None for the CPU, and the versions of the libraries."""

    accelerator: str | None = None
    libraries: dict[str, str] = {}


class _File(_Loose):
    written: datetime = Field(alias="datetime")
    machine_info: Machine
    commit_info: _Commit = _Commit()
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
    file: Path

    @property
    def median(self) -> float:
        """The median round, in seconds."""
        return median(self.rounds)

    @property
    def mean(self) -> float:
        """The mean round, in seconds."""
        return fmean(self.rounds)

    @property
    def spec(self) -> RunSpec | None:
        """What was run and how; None where the file names no recipe, corpus, precision or batching."""
        if not {"recipe", "corpus", "precision", "batching"} <= self.setup.keys():
            return None
        values: dict[str, Any] = {k: int(v) if k in NUMBERS else v for k, v in self.setup.items()}
        return RunSpec(**values)

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

    def refuse(error: OSError) -> None:
        what = f"cannot read {error.filename}: {error.strerror}"
        raise RecordError(what, "Make it readable, or move it out.") from None

    walked: Iterable[Any] = os.walk(path, onerror=refuse) if path.is_dir() else ()
    paths = [path] if path.is_file() else [Path(folder, name) for folder, _, names in walked for name in names]
    paths = sorted(file for file in paths if file.suffix == ".json")
    return sorted((b for file in paths for b in _read(file)), key=lambda b: b.written)


def newest(benchmarks: Iterable[Benchmark]) -> list[Benchmark]:
    """Return the newest of each identity, in the order in which they were measured."""
    latest: dict[Any, Benchmark] = {}
    for benchmark in sorted(benchmarks, key=lambda b: b.written):
        latest.pop(benchmark.identity, None)  # so that what was measured together stays together
        latest[benchmark.identity] = benchmark
    return list(latest.values())


def _read(path: Path) -> list[Benchmark]:
    try:
        file = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        what = str(error.strerror)
    except ValidationError as error:
        first = error.errors()[0]
        what = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    else:
        return [_benchmark(entry, file, path) for entry in file.benchmarks]
    raise RecordError(
        f"{path} is no benchmark file: {what}",
        "Run the benchmarks again with --benchmark-save-data (every round's time is needed), or move the file out.",
    )


def _benchmark(entry: _Entry, file: _File, path: Path) -> Benchmark:
    machine, extra = file.machine_info, entry.extra_info
    setup = {"device": "cuda" if machine.accelerator else "cpu"}
    setup |= {name: str(extra[name]) for name in SETTINGS if extra.get(name) is not None}
    return Benchmark(
        name=entry.name, fullname=entry.fullname, group=entry.group or "", rounds=tuple(entry.stats.data), setup=setup,
        facts={name: value for name, value in extra.items() if name not in SETTINGS},
        machine=machine.model_copy(update={"accelerator": None}) if setup["device"] == "cpu" else machine,
        commit=file.commit_info.id, dirty=bool(file.commit_info.dirty), file=path,
        written=file.written if file.written.tzinfo else file.written.replace(tzinfo=UTC),
    )  # fmt: skip
