"""pytest-benchmark's files, typed: the one reader of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from pydantic import AfterValidator, AliasPath, BaseModel, ConfigDict, Field, JsonValue, model_validator

from repro.records.store import json_files, read_json
from repro.spec import RunSpec

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Moment = Annotated[datetime, AfterValidator(lambda time: time if time.tzinfo else time.replace(tzinfo=UTC))]
SETTINGS = tuple(field.name for field in fields(RunSpec) if field.name not in {"section", "seed"})


class Benchmark(BaseModel):
    """One benchmark of one file: its rounds in seconds, what it notes of itself, and where and when it ran.

    `facts` are one value, or a list with one value a round; those that RunSpec has too are how it was run, its `setup`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    fullname: str
    group: str = ""
    rounds: tuple[Seconds, ...] = Field(validation_alias=AliasPath("stats", "data"), min_length=1)
    facts: dict[str, JsonValue] = Field({}, validation_alias="extra_info")
    gpu: str | None = Field(None, validation_alias=AliasPath("machine_info", "accelerator"))
    commit: str | None = Field(None, validation_alias=AliasPath("commit_info", "id"))
    dirty: bool | None = Field(None, validation_alias=AliasPath("commit_info", "dirty"))
    written: Moment = Field(validation_alias="datetime")

    @property
    def setup(self) -> dict[str, str]:
        """How it was run, in RunSpec's fields, as far as its file says; always with the device (`cpu` or `cuda`)."""
        device = "cuda" if self.gpu else "cpu"
        stated = {name: str(self.facts[name]) for name in SETTINGS if self.facts.get(name) is not None}
        return {"device": device, **stated}

    @property
    def accelerator(self) -> str | None:
        """The GPU that it ran on, None for the CPU, whatever GPU the machine has."""
        return None if self.setup["device"] == "cpu" else self.gpu

    @property
    def median(self) -> float:
        """The median round, in seconds."""
        return median(self.rounds)

    @property
    def identity(self) -> Any:
        """What two measurements of the same thing share: name, setup and accelerator, whatever file it stands in."""
        return self.name, tuple(sorted(self.setup.items())), self.accelerator

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


class _File(BaseModel):
    benchmarks: list[Benchmark]

    @model_validator(mode="before")
    @classmethod
    def _each_with_what_holds_for_all(cls, file: Any) -> Any:
        if not isinstance(file, dict) or not isinstance(file.get("benchmarks"), list):
            return file
        common = {name: value for name, value in file.items() if name != "benchmarks"}
        stated = (
            {name: value for name, value in entry.items() if value is not None} if isinstance(entry, dict) else {}
            for entry in file["benchmarks"]
        )
        return {"benchmarks": [common | entry for entry in stated]}


def read_benchmarks(path: Path) -> list[Benchmark]:
    """Read a file, or all below a folder, oldest first; RecordError names the file and the first thing wrong in it."""
    remedy = "Run the benchmarks again with --benchmark-save-data (every round's time is needed), or move the file out."
    paths = json_files(path) if path.is_dir() else [path] if path.is_file() and path.suffix == ".json" else []
    files = [read_json(file, _File, "benchmark file", remedy) for file in paths]
    return sorted((benchmark for file in files for benchmark in file.benchmarks), key=lambda b: b.written)


def newest(benchmarks: Iterable[Benchmark]) -> list[Benchmark]:
    """Return the newest of each identity, in the order in which they were measured."""
    latest: dict[Any, Benchmark] = {}
    for benchmark in sorted(benchmarks, key=lambda b: b.written):
        latest.pop(benchmark.identity, None)  # so that what was measured together stays together
        latest[benchmark.identity] = benchmark
    return list(latest.values())
