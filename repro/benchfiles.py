"""Benchmarks as pytest-benchmark writes them: files read and checked, and of each benchmark the newest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from repro.errors import RecordError

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Stats(_Loose):
    data: list[Seconds] = Field(min_length=1)  # one a round


class _Extra(_Loose):
    """What our benchmarks note beside the time; `calibration_seconds` are of the same rounds.

    `device` is noted where it is not the session's: by what runs on the CPU though a GPU is there.
    """

    calibration_seconds: list[Seconds] | None = None
    recipe: JsonValue = None
    corpus: JsonValue = None
    protocol: JsonValue = None
    precision: JsonValue = None
    batching: JsonValue = None
    device: JsonValue = None


class _Entry(_Loose):
    name: str
    fullname: str
    stats: _Stats
    extra_info: _Extra

    @model_validator(mode="after")
    def _calibrated_every_round(self) -> _Entry:
        calibration = self.extra_info.calibration_seconds
        if calibration is not None and len(calibration) != len(self.stats.data):
            raise ValueError(f"{len(self.stats.data)} rounds and {len(calibration)} calibrations")
        return self


class _File(_Loose):
    written: datetime = Field(alias="datetime")
    machine_info: dict[str, JsonValue]
    benchmarks: list[_Entry]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark's rounds in seconds, the calibration of each, and the machine and file they come from.

    `way` says in pairs how it was run (recipe, corpus, precision, batching), as far as the file tells, and always
    the device: `cpu` or `cuda`.
    """

    name: str
    short: str
    way: tuple[tuple[str, str], ...]
    rounds: tuple[float, ...]
    calibration: tuple[float, ...] | None
    machine: tuple[tuple[str, str], ...]
    written: datetime
    file: Path


def read_benchmarks(path: Path) -> list[Benchmark]:
    """Read a folder of benchmark files, or one; RecordError names the file and the first thing wrong with it."""
    if path.is_file():
        return _read(path)
    paths: list[Path] = []
    for folder, _, names in os.walk(path, onerror=_raise):
        paths += (Path(folder, name) for name in names if name.endswith(".json"))
    return [benchmark for found in sorted(paths) for benchmark in _read(found)]


def newest(benchmarks: Sequence[Benchmark], ignore: frozenset[str]) -> dict[tuple[Any, ...], Benchmark]:
    """Return the newest of each name and way of running; the names in `ignore` are no part of the way."""
    found: dict[tuple[Any, ...], Benchmark] = {}
    for benchmark in sorted(benchmarks, key=lambda b: b.written):
        way = tuple(pair for pair in benchmark.way if pair[0] not in ignore)
        found[benchmark.name, way] = benchmark
    return found


def newest_of_both(
    before: Sequence[Benchmark], after: Sequence[Benchmark], ignore: frozenset[str]
) -> tuple[dict[tuple[Any, ...], Benchmark], dict[tuple[Any, ...], Benchmark]]:
    """Return the newest of two sides by name and way: of a device that both have, else of whichever each has.

    So a GPU's files beside a CPU's are neither the CPU's baseline nor missing, and those of a GPU alone still meet
    those of a CPU alone, to be told that they are not comparable.
    """
    first, second = (newest(side, ignore) for side in (before, after))
    shared = first.keys() & second.keys()
    compared = {_on_any_device(key) for key in shared}

    def paired(side: dict[tuple[Any, ...], Benchmark]) -> dict[tuple[Any, ...], Benchmark]:
        return {
            key if key in shared else _on_any_device(key): benchmark
            for key, benchmark in side.items()
            if key in shared or _on_any_device(key) not in compared
        }

    return paired(first), paired(second)


def _on_any_device(key: tuple[Any, ...]) -> tuple[Any, ...]:
    name, way = key
    return name, tuple(pair for pair in way if pair[0] != "device")


def _read(path: Path) -> list[Benchmark]:
    try:
        file = _File.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        remedy = "Run the benchmarks again, with --benchmark-save-data: every round's time is needed."
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise RecordError(f"{path} is no benchmark file that can be judged: {what}", remedy) from None
    return [_benchmark(entry, file, path) for entry in file.benchmarks]


def _benchmark(entry: _Entry, file: _File, path: Path) -> Benchmark:
    extra = entry.extra_info
    way = {name: str(value) for name, value in extra if name != "calibration_seconds" and value is not None}
    way.setdefault("device", "cuda" if file.machine_info.get("accelerator") else "cpu")
    return Benchmark(
        name=entry.fullname,
        short=entry.name,
        way=tuple(way.items()),
        rounds=tuple(entry.stats.data),
        calibration=tuple(extra.calibration_seconds) if extra.calibration_seconds else None,
        machine=_machine(file.machine_info, on_gpu=way["device"] != "cpu"),
        written=file.written if file.written.tzinfo else file.written.replace(tzinfo=UTC),
        file=path,
    )


def _machine(info: dict[str, JsonValue], *, on_gpu: bool) -> tuple[tuple[str, str], ...]:
    """Return what must be equal for seconds to be compared as they are; an unnamed processor is left out."""
    cpu, libraries = info.get("cpu"), info.get("libraries")
    facts: dict[str, Any] = {
        "processor": cpu.get("brand_raw") if isinstance(cpu, dict) else None,
        "cores": cpu.get("count") if isinstance(cpu, dict) else None,
        "threads": info.get("threads"),
        "accelerator": info.get("accelerator") if on_gpu else None,
        "driver": info.get("driver") if on_gpu else None,
        "Python": info.get("python_version"),
        **(libraries if isinstance(libraries, dict) else {}),
    }
    return tuple((name, str(value)) for name, value in facts.items() if value is not None)


def _raise(error: OSError) -> None:
    raise error
