"""Puts faults into real runs, two at a time, and tallies what came of them.

The workers are forks of one process that has imported everything; each forks the runs that it disturbs. All runs have
one thread, so that a trial has a core and its arithmetic one order.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch

from repro.assets.builtin.tiny import tiny_folder
from repro.assets.loading import load_classifier
from repro.records.faults import FaultRow, FaultTally, write_tally
from repro.records.provenance import code_state, collect_provenance, utc_now
from tests.faults.launch import ONE_THREAD, RUN, Place
from tests.faults.planted import killed_at, read_trace, traced
from tests.faults.trial import Case, Fault, Outcome, Undisturbed, models_in, records_in
from tests.running import result_of

WORKERS = 2
SEEDS = (0, 1)
DRAWN_FROM = 5
WARM = (  # what a run imports
    "datasets", "repro.commands.run", "repro.commands.verify", "repro.sections.finetune", "repro.sections.runner",
    "repro.training.device", "repro.training.loop", "repro.training.metrics",
)  # fmt: skip
DESELECTED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Give the session a folder for its tally; without it none is written."""
    parser.addoption("--results", default=None, help="write the tally below RESULTS/faults")
    parser.addoption("--share", type=float, default=1.0, help="try each fault only so often; the tally is not written")


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that a part was chosen: a part is no tally."""
    items[0].config.stash[DESELECTED] = True


class Session:
    """Runs trials on the workers, fails where anything is not as it should be, and collects the rows of the tally."""

    def __init__(self, folder: Path, pool: Any, share: float) -> None:
        self.folder, self.pool, self.share = folder, pool, share
        self.rows: list[FaultRow] = []
        self.start, self.started = time.monotonic(), utc_now()
        self.undisturbed = _undisturbed(folder)

    def inject(self, fault: Fault) -> None:
        folder, name = self.folder / re.sub(r"\W+", "-", fault.fault), f"{DRAWN_FROM} {fault}"
        cases = [
            Case(number=i, place=Place(folder / str(i)), undisturbed=self.undisturbed, drawn_from=name)
            for i in range(max(1, round(fault.times * self.share)))
        ]
        outcomes: list[Outcome] = self.pool.map(fault.trial, cases, chunksize=1)
        complete = [outcome for outcome in outcomes if outcome.identical is not None]
        row = FaultRow(
            fault=fault.fault, how=fault.how, tried=len(outcomes),
            lost=sum(o.lost for o in outcomes), wrong=sum(o.wrong for o in outcomes),
            finished=len(complete), identical=sum(o.identical is True for o in complete),
            told=next((o.line for o in outcomes if o.line), ""),
        )  # fmt: skip
        self.rows.append(row)
        remarks = [f"trial {i}: {text}" for i, outcome in enumerate(outcomes) for text in outcome.remarks]
        assert not remarks, "\n".join(remarks)
        assert (row.lost, row.wrong, row.identical) == (0, 0, row.finished)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def inject(request: pytest.FixtureRequest) -> Iterator[Callable[[Fault], None]]:
    """The workers and the undisturbed runs; at the end the tally, where the whole session ran and a folder is named."""
    os.environ.update(ONE_THREAD)
    share: float = request.config.getoption("--share")
    folder = Path(mkdtemp(prefix="faults-"))
    folder.chmod(0o755)  # a run without root's rights comes here too
    _warm_up()
    with get_context("fork").Pool(WORKERS) as pool:
        session = Session(folder, pool, share)
        yield session.inject
    results = request.config.getoption("--results")
    if results and share == 1 and not request.config.stash.get(DESELECTED, False):
        tally = FaultTally(
            run=" ".join(("repro", *RUN)), steps=session.undisturbed.steps, drawn_from=DRAWN_FROM,
            seconds=time.monotonic() - session.start, rows=session.rows,
            provenance=collect_provenance(started=session.started, threads=1),
        )  # fmt: skip
        sys.stderr.write(f"\n{write_tally(tally, Path(results) / 'faults')}\n")
    if not request.session.testsfailed:
        shutil.rmtree(folder, ignore_errors=True)


def _warm_up() -> None:
    """Import what a run imports, and make what every run would make alike, before the first fork."""
    torch.set_num_threads(1)
    for checkpoint in (tiny_folder().parent, tiny_folder()):
        checkpoint.chmod(0o755)
    for file in tiny_folder().iterdir():
        file.chmod(0o644)
    load_classifier(tiny_folder())
    code_state()
    for name in WARM:
        import_module(name)
    gc.collect()
    gc.freeze()  # else every run would go through all that was imported, and copy it


def _undisturbed(folder: Path) -> Undisturbed:
    places = {seed: Place(folder / f"undisturbed-{seed}") for seed in SEEDS}
    results, weights, seconds = {}, {}, 0.0
    for seed, place in places.items():
        start = time.perf_counter()
        ended = place.run(seed=seed, plant=traced(place.results))
        seconds = max(seconds, time.perf_counter() - start)
        assert ended.code == 0, ended.err
        (record,) = records_in(place).values()
        assert record is not None
        results[seed], weights[seed] = result_of(record), models_in(place)[seed]
    calls, unfinished = read_trace(places[0].results), Place(folder / "unfinished")
    writes_record = next(call for call in calls if call.path.startswith("runs/") and "probe" not in call.path)
    unfinished.run(plant=killed_at(unfinished.results, writes_record.number, after=False))
    assert len(unfinished.states()) == 2
    return Undisturbed(
        place=places[0], unfinished=unfinished, results=results, weights=weights, seconds=seconds, calls=calls
    )
