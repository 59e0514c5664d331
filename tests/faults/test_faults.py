"""Every fault of faults.toml is put into runs: nothing is lost or wrong, and each run is finished bit for bit.

Two trials at a time: the workers are forks of one process that has imported everything, and each forks the runs that
it disturbs. All runs have one thread, so that a trial has a core and its arithmetic one order.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from repro.display import Table
from repro.records.provenance import code_state, processor_name, utc_now
from repro.report.tables import commit_of
from repro.sections import runner
from tests.faults import cuts, damage, histories, stops
from tests.faults.launch import RUN, Place, warm_up
from tests.faults.trial import Case, Fault, Outcome, Undisturbed, models_in, records_in
from tests.running import result_of

WORKERS = 2
DRAWN_FROM = 5
TABLE = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))
DAMAGES = (("flipped byte", False), ("truncated file", True))
COLUMNS = (
    "fault", "how", "tried", "lost records", "wrong results that passed", "bit-identical once finished",
    "what the user is told",
)  # fmt: skip


def fault_of(row: dict[str, Any], **options: Any) -> Fault:
    trial = next(vars(file)[row["trial"]] for file in (stops, damage, histories, cuts) if row["trial"] in vars(file))
    return Fault(**row | {"trial": partial(trial, **options, **row.pop("options", {}))})


FAULTS = [fault_of(row) for row in TABLE["fault"]] + [
    fault_of(row | {"fault": f"{way} in {row['fault']}"}, truncate=truncate)
    for row in TABLE["damage"]
    for way, truncate in DAMAGES
]


def row(fault: str, how: str, counts: Counter[str], told: str = "") -> tuple[str, ...]:
    """One row of the table.

    `lost` counts records and saved states that stood before a fault and were gone or unreadable after it, `wrong`
    results that read as valid and are not those of the undisturbed run.
    """
    identical = f"{counts['identical']} of {counts['finished']}" if counts["finished"] else "nothing to finish"
    return fault, how, *(str(counts[name]) for name in ("tried", "lost", "wrong")), identical, told


class Session:
    """Runs trials on the workers, fails where anything is not as it should be, and collects the rows of the table."""

    def __init__(self, folder: Path, share: float, trial: int | None) -> None:
        self.folder, self.share, self.trial = folder, share, trial
        self.rows: list[tuple[str, ...]] = []
        self.all = Counter[str]()
        self.start, self.day = time.monotonic(), utc_now()[:10]
        warm_up()
        self.pool = get_context("fork").Pool(WORKERS)
        self.undisturbed = _undisturbed(folder)

    def inject(self, fault: Fault) -> None:
        folder, name = self.folder / re.sub(r"\W+", "-", fault.fault), f"{DRAWN_FROM} {fault}"
        cases = [
            Case(number=i, place=Place(folder / str(i)), undisturbed=self.undisturbed, drawn_from=name)
            for i in (range(max(1, round(fault.times * self.share))) if self.trial is None else [self.trial])
        ]
        tried: list[Outcome | None] = self.pool.map(fault.trial, cases, chunksize=1)
        outcomes = [outcome for outcome in tried if outcome is not None]
        counts = Counter(
            tried=len(outcomes), lost=sum(o.lost for o in outcomes), wrong=sum(o.wrong for o in outcomes),
            finished=sum(o.identical is not None for o in outcomes),
            identical=sum(o.identical is True for o in outcomes),
        )  # fmt: skip
        self.all += counts
        self.rows.append(row(fault.fault, fault.how, counts, next((o.line for o in outcomes if o.line), "")))
        remarks = [f"trial {i}: {text}" for i, outcome in enumerate(outcomes) for text in outcome.remarks]
        assert not remarks, "\n".join(remarks)
        assert (counts["lost"], counts["wrong"], counts["identical"]) == (0, 0, counts["finished"])
        shutil.rmtree(folder, ignore_errors=True)

    def write(self, results: Path) -> None:
        """Write the table; its last row says how all were tried. One of a part has another name."""
        whole = self.share == 1 and len(self.rows) == len(FAULTS)
        minutes = (time.monotonic() - self.start) / 60
        session = (
            f"drawn from seed {DRAWN_FROM}, in runs of {self.undisturbed.steps} steps (`repro {' '.join(RUN)}`); "
            f"{minutes:.1f} min on {processor_name()}, {os.cpu_count()} cores, {self.day}, "
            f"commit {commit_of(*code_state())}"
        )
        path = results / ("faults.csv" if whole else "faults-part.csv")
        results.mkdir(parents=True, exist_ok=True)
        path.write_text(Table(COLUMNS, (*self.rows, row("all", session, self.all))).to_csv(), encoding="utf-8")
        sys.stderr.write(f"\n{path}\n")


def _undisturbed(folder: Path) -> Undisturbed:
    place, unfinished, start = Place(folder / "undisturbed"), Place(folder / "unfinished"), time.perf_counter()
    ended = place.run()
    seconds = time.perf_counter() - start
    assert ended.code == 0, ended.err
    (record,) = records_in(place).values()
    assert record is not None
    unfinished.run(plant=lambda: vars(runner).update(keep_record=lambda *_: os.kill(os.getpid(), signal.SIGKILL)))
    assert len(unfinished.states()) == 2
    return Undisturbed(
        place=place, unfinished=unfinished, result=result_of(record), weights=models_in(place)[0], seconds=seconds
    )


@pytest.fixture(scope="module")
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The workers and the undisturbed run; at the end the tally, where a folder is named."""
    folder = Path(mkdtemp(prefix="faults-"))
    folder.chmod(0o755)  # a run without root's rights comes here too
    session = Session(folder, *map(request.config.getoption, ("--share", "--trial")))
    with session.pool:
        yield session
    if results := request.config.getoption("--results"):
        session.write(Path(results))
    if not request.session.testsfailed:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_after_a_fault_nothing_is_lost_and_the_run_is_finished(fault: Fault, session: Session) -> None:
    session.inject(fault)
