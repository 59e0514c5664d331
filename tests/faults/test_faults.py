"""Every fault of faults.toml is put into runs: nothing is lost or wrong, and each run is finished bit for bit.

Two trials at a time: the workers are forks of one process that has imported everything, and each forks the runs that
it disturbs. All runs have one thread, so that a trial has a core and its arithmetic one order.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from repro.records.faults import FaultRow, FaultTally, write_tally
from repro.records.provenance import collect_provenance, utc_now
from tests.faults import damage, stops
from tests.faults.launch import RUN, Place, warm_up
from tests.faults.planted import killed_at, read_trace, traced
from tests.faults.trial import Case, Fault, Outcome, Undisturbed, models_in, records_in
from tests.running import result_of

WORKERS = 2
SEEDS = (0, 1)
DRAWN_FROM = 5
TABLE = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))
DAMAGES = (("flipped byte", False), ("truncated file", True))


def fault_of(row: dict[str, Any], **options: Any) -> Fault:
    trial = vars(stops).get(row["trial"]) or vars(damage)[row["trial"]]
    return Fault(**row | {"trial": partial(trial, **options, **row.pop("options", {}))})


FAULTS = [fault_of(row) for row in TABLE["fault"]] + [
    fault_of(row | {"fault": f"{way} in {row['fault']}"}, truncate=truncate)
    for row in TABLE["damage"]
    for way, truncate in DAMAGES
]


class Session:
    """Runs trials on the workers, fails where anything is not as it should be, and collects the rows of the tally."""

    def __init__(self, folder: Path, share: float) -> None:
        self.folder, self.share = folder, share
        self.rows: list[FaultRow] = []
        self.start, self.started = time.monotonic(), utc_now()
        warm_up()
        self.pool = get_context("fork").Pool(WORKERS)
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

    def write(self, results: Path) -> None:
        """Write the tally, if it is of every fault: a part is no tally."""
        if self.share != 1 or len(self.rows) < len(FAULTS):
            return
        tally = FaultTally(
            run=" ".join(("repro", *RUN)), steps=self.undisturbed.steps, drawn_from=DRAWN_FROM,
            seconds=time.monotonic() - self.start, rows=self.rows,
            provenance=collect_provenance(started=self.started, threads=1),
        )  # fmt: skip
        sys.stderr.write(f"\n{write_tally(tally, results / 'faults')}\n")


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
    writes_record = next(call for call in calls if call.writes_record)
    unfinished.run(plant=killed_at(unfinished.results, writes_record.number, after=False))
    assert len(unfinished.states()) == 2
    return Undisturbed(
        place=places[0], unfinished=unfinished, results=results, weights=weights, seconds=seconds, calls=calls
    )


@pytest.fixture(scope="module")
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The workers and the undisturbed runs; at the end the tally, where a folder is named."""
    folder = Path(mkdtemp(prefix="faults-"))
    folder.chmod(0o755)  # a run without root's rights comes here too
    session = Session(folder, request.config.getoption("--share"))
    with session.pool:
        yield session
    if results := request.config.getoption("--results"):
        session.write(Path(results))
    if not request.session.testsfailed:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_after_a_fault_nothing_is_lost_and_the_run_is_finished(fault: Fault, session: Session) -> None:
    session.inject(fault)
