"""Options of the benchmarks, how variants are interleaved, and what their JSON says of the machine: no host name."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.peak import FLOP, Variant, peak_of
from repro.errors import ReproError
from repro.records.provenance import driver_version, library_versions
from repro.records.store import prepare_results
from repro.regression.workers import Round, Worker, interleave
from repro.sections.context import Context
from repro.sections.runner import open_context
from repro.spec import Device, Precision, RunSpec, choice, parse_seeds
from repro.training.device import resolve_device

ROOT = Path(__file__).parents[1]
CACHE = pytest.StashKey[dict[Any, Any]]()
Measured = Callable[..., tuple[list[Round], list[Round]]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Give the benchmarks the options of `repro run`."""
    group = parser.getgroup("repro")
    for name, default, text in (
        ("--recipe", "distilbert", "distilbert, minilm or tiny"),
        ("--corpus", None, "a folder, hub or rehearsal (REPRO_CORPUS, else hub)"),
        ("--checkpoints", None, "a folder of checkpoints (REPRO_CHECKPOINTS)"),
        ("--seeds", "0", "0, 0,2,5 or 0-4: one round a seed"),
        ("--protocol", "seeded", "seeded or as-published"),
        ("--precision", "auto", "auto (what the machine computes natively), fp32 or bf16"),
        ("--batching", "packed", "packed, dynamic or padded"),
        ("--device", "auto", "auto, cpu or cuda"),
        ("--seminar", None, "the notebook to verify: the tour reads its letter there"),
        ("--results", None, "folder of the records (REPRO_RESULTS, else results)"),
    ):
        group.addoption(name, default=default, help=text)
    group.addoption("--rounds", type=int, default=10, help="of each variant, interleaved; the committed tables have 10")
    group.addoption("--epochs", type=int, default=None, help="instead of the recipe's")
    group.addoption("--limit", type=int, default=None, help="first N rows of each split")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let warnings be warnings here: a library that deprecates something must not end hours of measuring."""
    for item in items:
        if item.path.is_relative_to(ROOT / "benchmarks"):
            item.add_marker(pytest.mark.filterwarnings("default"))


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add accelerator and library versions; a host name is nobody's business."""
    import torch

    for name in ("node", "release"):  # the host's name, and the name of its kernel
        machine_info.pop(name, None)
    machine_info["libraries"] = library_versions()
    machine_info["threads"] = torch.get_num_threads()
    on_gpu = torch.cuda.is_available() and config.getoption("--device") != "cpu"
    machine_info["accelerator"] = torch.cuda.get_device_name() if on_gpu else None
    machine_info["driver"] = driver_version() if on_gpu else None


def pytest_benchmark_update_commit_info(config: pytest.Config, commit_info: dict[str, Any]) -> None:
    """Name the project, and not the folder that it happens to lie in."""
    del config
    commit_info["project"] = "seminar-repro"
    commit_info.pop("branch", None)


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int:
    """Rounds of each variant, after warming up."""
    return int(request.config.getoption("--rounds"))


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """`cpu` or `cuda`."""
    return str(_or_exit(lambda: resolve_device(choice(Device, request.config.getoption("--device"))).device))


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Path:
    """The results folder, proved writable."""
    folder = Path(_option(request, "results", "REPRO_RESULTS", "results"))
    _or_exit(lambda: prepare_results(folder))
    return folder


@pytest.fixture(scope="session")
def seeds(request: pytest.FixtureRequest) -> list[int]:
    """The seeds, one round each."""
    parsed: list[int] = _or_exit(lambda: parse_seeds(request.config.getoption("--seeds")))
    return parsed


@pytest.fixture(scope="session")
def source(request: pytest.FixtureRequest) -> dict[str, str | None]:
    """What a variant in another process needs to make the same recipe and corpus."""
    return {
        "recipe": request.config.getoption("--recipe"),
        "corpus": _option(request, "corpus", "REPRO_CORPUS", "hub"),
        "checkpoints": _option(request, "checkpoints", "REPRO_CHECKPOINTS", "") or None,
    }


@pytest.fixture(scope="session")
def context(request: pytest.FixtureRequest, results: Path, seeds: list[int]) -> Context:
    """Recipe, corpus and settings, checked; an error of the user's ends the session with its two lines."""
    del results  # cheap to check, so it goes first, as the seeds do
    checkpoints = _option(request, "checkpoints", "REPRO_CHECKPOINTS", "")
    seminar = request.config.getoption("--seminar")
    names = ("recipe", "protocol", "precision", "batching", "device", "epochs", "limit")
    context: Context = _or_exit(
        lambda: open_context(
            RunSpec(**{name: request.config.getoption(f"--{name}") for name in names}),
            corpus=_option(request, "corpus", "REPRO_CORPUS", "hub"),
            checkpoints=Path(checkpoints) if checkpoints else None,
            seminar=Path(seminar) if seminar else None,
            seeds=seeds,
        )
    )
    return context


@pytest.fixture(scope="session")
def precision(request: pytest.FixtureRequest, device: str) -> str:
    """The precision asked for, `auto` resolved."""
    asked = request.config.getoption("--precision")
    return str(_or_exit(lambda: resolve_device(Device(device), choice(Precision, asked)).precision))


@pytest.fixture
def in_turns(request: pytest.FixtureRequest, device: str) -> Measured:
    """The function that measures the selected variants of a group in turns, once, and returns one's rounds.

    Of the group of a test all variants are interleaved whose tests are selected, each in a process of its own; with
    `peak` the machine's own matrix multiplication in their precisions too, whose rounds come second.
    """
    node: Any = request.node

    def measure(group: Mapping[str, Variant], key: str, rounds: int, warm_up: int = 1, *, peak: bool = False) -> Any:
        cache: dict[Any, Any] = request.config.stash.setdefault(CACHE, {})
        items: list[Any] = request.session.items
        ids = {item.callspec.id for item in items if hasattr(item, "callspec")}
        chosen = {name: v for name, v in group.items() if f"{key}-{name}".lstrip("-") in ids and not v.lacking(device)}
        variant = node.callspec.params["variant"]
        if why := group[variant].lacking(device):
            pytest.skip(why)
        where = node.originalname, key, tuple(chosen)
        if where not in cache:
            precisions = {v.precision for v in chosen.values()} if peak else set()
            peaks = {f"peak {precision}": peak_of(precision, device) for precision in sorted(filter(None, precisions))}
            cache[where] = _interleave({**peaks, **chosen}, rounds, warm_up)
        return cache[where][variant], cache[where].get(f"peak {group[variant].precision}", [])

    return measure


def _interleave(variants: Mapping[str, Variant], rounds: int, warm_up: int) -> dict[str, list[Round]]:
    with ExitStack() as stack:
        workers = {name: Worker(name, ROOT, sys.executable) for name in variants}
        for worker in workers.values():
            stack.callback(worker.close)
            worker.benchmarks()
        work = {name: asdict(variant) for name, variant in variants.items()}
        return interleave(workers, work, rounds, order=random.Random(0), warm_up=warm_up)  # noqa: S311


def record(benchmark: BenchmarkFixture, rounds: Sequence[Round], peak: Sequence[Round] = (), **facts: Any) -> None:
    """Give rounds that a worker timed to pytest-benchmark; what they say goes into `extra_info`, a list a fact.

    `peak` are the rounds of the machine's own multiplication in the same turns: `calibration_seconds` of one of
    `calibration_flop` operations, from which the report computes a variant's share of the machine's peak.
    """
    benchmark._mode = "rounds that a worker timed"  # pytest-benchmark has no public way to take seconds
    stats = benchmark._make_stats(iterations=1)
    for timed in rounds:
        stats.update(timed.seconds)
    benchmark.extra_info.update({name: [r.facts[name] for r in rounds] for name in rounds[0].facts})
    benchmark.extra_info.update({"peak_mib": [r.peak_mib for r in rounds], **facts})
    if peak:
        seconds = [r.facts["fastest"] for r in peak]
        benchmark.extra_info.update(calibration_seconds=seconds, calibration_flop=FLOP)


def _option(request: pytest.FixtureRequest, name: str, variable: str, default: str) -> str:
    return str(request.config.getoption(f"--{name}") or os.environ.get(variable) or default)


def _or_exit(check: Any) -> Any:
    try:
        return check()
    except ReproError as error:
        pytest.exit(f"error: {error}", returncode=error.exit_code)
