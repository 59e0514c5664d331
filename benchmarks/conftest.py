"""Options of the benchmarks, how variants are interleaved, and what their JSON says of the machine: no host name."""

from __future__ import annotations

import inspect
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.peer import FLOP, multiply
from repro.errors import DeviceError, ReproError
from repro.records.provenance import driver_version, library_versions
from repro.records.store import prepare_results
from repro.regression.workers import Round, Worker, interleave
from repro.sections.context import Context
from repro.sections.runner import open_context
from repro.spec import Device, Precision, RunSpec, choice, parse_seeds
from repro.training.device import NEEDED_MIB, DeviceChoice, resolve_device

ROOT = Path(__file__).parents[1]
CACHE = pytest.StashKey[dict[Any, Any]]()
Measure = Callable[..., None]


@dataclass(frozen=True)
class Variant:
    """A function that a worker runs, its options, and the steps before each timed one.

    What its signature asks for beside the options (device, precision, rounds, recipe, corpus, checkpoints) is filled in
    from the command line, the precision from the end of the variant's name where that is one. A round on a GPU is
    `steps_on_gpu` steps: one alone would be over before it can be timed.
    """

    work: Callable[..., None]
    options: Mapping[str, Any] = field(default_factory=dict)
    settle: int = 0
    steps_on_gpu: int = 1

    def request(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what starts it in a worker, `given` what the command line says."""
        wanted = inspect.signature(self.work).parameters
        steps = self.steps_on_gpu if given["device"] == "cuda" else 1
        filled = {name: value for name, value in {**given, "steps": steps}.items() if name in wanted}
        work = f"{self.work.__module__}:{self.work.__name__}"
        return {"work": work, "options": filled | dict(self.options), "settle": self.settle, "repeat": steps}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Give the benchmarks the options of `repro run`."""
    group = parser.getgroup("repro")
    for name, kind, default, text in (
        ("--recipe", str, "distilbert", "distilbert, minilm or tiny"),
        ("--corpus", str, None, "a folder, hub or rehearsal (REPRO_CORPUS, else hub)"),
        ("--checkpoints", str, None, "a folder of checkpoints (REPRO_CHECKPOINTS)"),
        ("--seeds", str, "0", "0, 0,2,5 or 0-4: one round a seed"),
        ("--protocol", str, "seeded", "seeded or as-published"),
        ("--precision", str, "auto", "auto (what the machine computes natively), fp32, bf16 or fp16"),
        ("--batching", str, "packed", "packed, dynamic or padded"),
        ("--device", str, "auto", "auto, cpu or cuda"),
        ("--seminar", str, None, "the notebook to verify: the tour reads its letter there"),
        ("--results", str, None, "folder of the records (REPRO_RESULTS, else build/benchmarks)"),
        ("--rounds", int, 10, "of each variant, interleaved; the committed tables have 10"),
        ("--epochs", int, None, "instead of the recipe's"),
        ("--limit", int, None, "first N rows of each split"),
    ):
        group.addoption(name, type=kind, default=default, help=text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let warnings be warnings here: a library that deprecates something must not end hours of measuring."""
    for item in items:
        if item.path.is_relative_to(ROOT / "benchmarks"):
            item.add_marker(pytest.mark.filterwarnings("default"))


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add accelerator and library versions; a host name is nobody's business."""
    del machine_info["node"], machine_info["release"]  # the host's name, and the name of its kernel
    on_gpu = torch.cuda.is_available() and config.getoption("--device") != "cpu"
    machine_info.update(
        libraries=library_versions(),
        threads=torch.get_num_threads(),
        accelerator=torch.cuda.get_device_name() if on_gpu else None,
        driver=driver_version() if on_gpu else None,
    )


def pytest_benchmark_update_commit_info(config: pytest.Config, commit_info: dict[str, Any]) -> None:
    """Name the project, and not the folder that it happens to lie in."""
    del config, commit_info["branch"]
    commit_info["project"] = "seminar-repro"


@contextmanager
def _stopping() -> Iterator[None]:
    """End the session with the two lines of an error of the user's."""
    try:
        yield
    except ReproError as error:
        pytest.exit(f"error: {error}", returncode=error.exit_code)


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config) -> int:
    """Rounds of each variant, after warming up."""
    return int(pytestconfig.getoption("--rounds"))


@pytest.fixture(scope="session")
@_stopping()
def on(pytestconfig: pytest.Config) -> DeviceChoice:
    """The device and precision asked for, `auto` resolved."""
    device, precision = (pytestconfig.getoption(f"--{name}") for name in ("device", "precision"))
    return resolve_device(choice(Device, device), choice(Precision, precision))


@pytest.fixture(scope="session")
@_stopping()
def results(pytestconfig: pytest.Config) -> Path:
    """The results folder, proved writable."""
    folder = Path(_option(pytestconfig, "results") or "build/benchmarks")
    prepare_results(folder)
    return folder


@pytest.fixture(scope="session")
@_stopping()
def seeds(pytestconfig: pytest.Config) -> list[int]:
    """The seeds, one round each."""
    return parse_seeds(pytestconfig.getoption("--seeds"))


@pytest.fixture(scope="session")
def source(pytestconfig: pytest.Config) -> dict[str, str | None]:
    """What a variant in another process needs to make the same recipe and corpus."""
    corpus, checkpoints = _option(pytestconfig, "corpus") or "hub", _option(pytestconfig, "checkpoints")
    return {"recipe": pytestconfig.getoption("--recipe"), "corpus": corpus, "checkpoints": checkpoints}


@pytest.fixture(scope="session")
@_stopping()
def context(pytestconfig: pytest.Config, results: Path, seeds: list[int], source: dict[str, str | None]) -> Context:
    """Recipe, corpus and settings, checked."""
    del results  # cheap to check, so it goes first, as the seeds do
    names = ("recipe", "protocol", "precision", "batching", "device", "epochs", "limit")
    spec = {name: pytestconfig.getoption(f"--{name}") for name in names}
    folders = {"checkpoints": source["checkpoints"], "seminar": pytestconfig.getoption("--seminar")}
    paths: dict[str, Any] = {name: Path(folder) for name, folder in folders.items() if folder}
    opened = open_context(RunSpec(**spec), corpus=source["corpus"], seeds=seeds, **paths)
    _ = opened.checkpoint  # what is missing is said before anything is measured
    return opened


@pytest.fixture
def measure(
    request: pytest.FixtureRequest, on: DeviceChoice, source: dict[str, str | None], benchmark: BenchmarkFixture
) -> Measure:
    """The function that measures the selected variants of a table entry in turns, once, and records the test's own.

    With `flop`, those of a parameter and piece, the machine's own matrix multiplication takes its turns too, and the
    report computes a variant's share of it.
    """
    item: Any = request.node
    own = str(item.callspec.params["variant"])
    prefix = item.callspec.id.removesuffix(own)
    items: list[Any] = request.session.items
    ids = {other.callspec.id for other in items if hasattr(other, "callspec")}

    def precision_of(name: str) -> Precision:
        end = name.rpartition("-")[2]
        return Precision(end) if end in list(Precision) else on.precision

    def lacking(name: str) -> str:
        try:
            resolve_device(on.device, precision_of(name))
        except DeviceError as error:
            return f"not measured: {error.what}"
        return ""

    def call(
        title: str, variants: Mapping[str, Variant], rounds: int, *, warm_up: int = 1, flop: int = 0, **facts: Any
    ) -> None:
        if why := lacking(own):
            pytest.skip(why)
        chosen = {name: v for name, v in variants.items() if prefix + name in ids and not lacking(name)}
        if flop:
            chosen |= {f"peak-{precision_of(name)}": Variant(multiply) for name in chosen}
        cache: dict[Any, Any] = request.config.stash.setdefault(CACHE, {})
        if (title, *chosen) not in cache:
            given = {"device": str(on.device), "rounds": rounds, **source}
            work = {name: v.request({**given, "precision": str(precision_of(name))}) for name, v in chosen.items()}
            at_once = torch.cuda.mem_get_info()[0] // (NEEDED_MIB << 20) if on.device == "cuda" else len(work)
            cache[title, *chosen] = {
                name: timed
                for group in groups(list(work), at_once)
                for name, timed in _interleave({name: work[name] for name in group}, rounds, warm_up).items()
            }
        timed: dict[str, list[Round]] = cache[title, *chosen]
        if flop:
            peak = timed[f"peak-{precision_of(own)}"]
            facts["useful_flop"] = [flop * r.facts["pieces"] * r.facts["parameters"] for r in timed[own]]
            facts |= {"calibration_seconds": [r.facts["fastest"] for r in peak], "calibration_flop": FLOP}
        benchmark.group = title
        _record(benchmark, timed[own], {"precision": str(precision_of(own)), **facts})

    return call


def groups(names: Sequence[str], at_once: int) -> list[list[str]]:
    """Return the variants in groups that take turns: `at_once` in each, those of one precision together."""
    alike, size = sorted(names, key=lambda name: name.rpartition("-")[2]), max(1, at_once)
    return [alike[i : i + size] for i in range(0, len(alike), size)]


def _interleave(work: Mapping[str, Any], rounds: int, warm_up: int) -> dict[str, list[Round]]:
    with ExitStack() as stack:
        workers = {name: stack.enter_context(closing(Worker(name, ROOT, sys.executable))) for name in work}
        for worker in workers.values():
            worker.benchmarks()
        timed = interleave(workers, work, rounds, order=random.Random(0), warm_up=warm_up)  # noqa: S311
    return {name: [_of_a_step(r, work[name]["repeat"]) for r in of_name] for name, of_name in timed.items()}


def _of_a_step(timed: Round, steps: int) -> Round:
    """Return a round of several steps as one of their mean."""
    facts = {name: value if name == "gpu_peak_mib" else value / steps for name, value in timed.facts.items()}
    return Round(seconds=timed.seconds / steps, facts=facts, peak_mib=timed.peak_mib)


def _record(benchmark: BenchmarkFixture, rounds: Sequence[Round], facts: Mapping[str, Any]) -> None:
    """Give rounds that a worker timed to pytest-benchmark; what they say goes into `extra_info`, a list a fact."""
    benchmark._mode = "rounds that a worker timed"  # pytest-benchmark has no public way to take seconds
    stats = benchmark._make_stats(iterations=1)
    for timed in rounds:
        stats.update(timed.seconds)
    of_rounds = {name: [r.facts[name] for r in rounds] for name in rounds[0].facts}
    peaks = of_rounds.pop("gpu_peak_mib", [r.peak_mib for r in rounds])
    benchmark.extra_info.update({**of_rounds, "peak_mib": peaks, **facts})


def _option(config: pytest.Config, name: str) -> str | None:
    return config.getoption(f"--{name}") or os.environ.get(f"REPRO_{name.upper()}")
