"""A session of faults: the workers, the undisturbed runs with which all is compared, and the rows of the tally."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.records.faults import FaultRow
from repro.records.provenance import utc_now
from tests.faults.launch import Place, run, start
from tests.faults.planted import Call, killed_at, read_trace, traced
from tests.faults.trial import Case, Outcome, Undisturbed, models_in, records_in, result_of

SEEDS = (0, 1)
DRAWN_FROM = 5


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A row of the tally: a fault, how it is put into a run, the trial that does it, and how often."""

    fault: str
    how: str
    trial: Callable[[Case], Outcome]
    times: int

    def __str__(self) -> str:
        return self.fault


class Session:
    """Runs trials on the workers and collects the rows of the tally."""

    def __init__(self, *, folder: Path, pool: Any, share: float) -> None:
        self.folder, self.pool, self.share = folder, pool, share
        self.rows: list[FaultRow] = []
        self.start, self.started = time.monotonic(), utc_now()
        self.undisturbed = _undisturbed(folder, pool)

    def states(self, copies: int) -> Place:
        """Return a place in which a run was killed and left so many saved states."""
        place = Place(folder=self.folder / f"states-{copies}")
        renames = [c for c in self.undisturbed.calls if c.name in ("rename", "replace") and "unfinished" in c.path]
        for call in renames:
            for after in (True, False):
                shutil.rmtree(place.folder, ignore_errors=True)
                self.pool.apply(_killed_run, (place, call, after))
                if len(place.states()) == copies:
                    return place
        raise AssertionError(f"no kill at a rename left {copies} states")

    def inject(self, fault: Fault) -> None:
        """Make the trials, add their row, and fail where anything is not as it should be."""
        folder = self.folder / re.sub(r"\W+", "-", fault.fault)
        cases = [
            Case(
                number=i,
                place=Place(folder=folder / str(i)),
                undisturbed=self.undisturbed,
                drawn_from=f"{DRAWN_FROM} {fault}",
            )
            for i in range(max(1, round(fault.times * self.share)))
        ]
        outcomes: list[Outcome] = self.pool.map(fault.trial, cases, chunksize=1)
        complete = [outcome for outcome in outcomes if outcome.identical is not None]
        row = FaultRow(
            fault=fault.fault, how=fault.how, tried=len(outcomes),
            lost=sum(o.lost for o in outcomes), wrong=sum(o.wrong for o in outcomes),
            finished=len(complete), identical=sum(o.identical is True for o in complete),
            told=_most_frequent([o.line for o in outcomes]),
        )  # fmt: skip
        self.rows.append(row)
        remarks = [
            f"trial {case.number}: {text}" for case, o in zip(cases, outcomes, strict=True) for text in o.remarks
        ]
        assert not remarks, "\n".join(remarks)
        assert (row.lost, row.wrong, row.identical) == (0, 0, row.finished)
        shutil.rmtree(folder, ignore_errors=True)


def _undisturbed(folder: Path, pool: Any) -> Undisturbed:
    runs = dict(
        zip(SEEDS, pool.starmap(_undisturbed_run, [(folder, seed) for seed in SEEDS], chunksize=1), strict=True)
    )
    return Undisturbed(
        folder=folder / f"undisturbed-{SEEDS[0]}",
        results={seed: result for seed, (result, _, _) in runs.items()},
        weights={seed: sha256 for seed, (_, sha256, _) in runs.items()},
        seconds=max(seconds for *_, seconds in runs.values()),
        calls=pool.apply(_calls_of_a_run, (folder / "traced",)),
    )


def _undisturbed_run(folder: Path, seed: int) -> tuple[dict[str, Any], str, float]:
    place, begin = Place(folder=folder / f"undisturbed-{seed}"), time.perf_counter()
    ended = run(place, place.arguments(seed=seed))
    seconds = time.perf_counter() - begin
    assert ended.code == 0, ended.err
    (record,) = records_in(place).values()
    assert record is not None
    return result_of(record), models_in(place)[seed], seconds


def _killed_run(place: Place, call: Call, after: bool) -> None:
    start(place, place.arguments(), plant=killed_at(place.results, call.number, after=after)).wait()


def _calls_of_a_run(folder: Path) -> list[Call]:
    place = Place(folder=folder)
    ended = start(place, place.arguments(), plant=traced(place.results)).wait()
    assert ended.code == 0, ended.err
    return read_trace(place.results)


def _most_frequent(lines: Sequence[str]) -> str:
    """Return the first of the lines that were said most often, whatever numbers are in them."""
    alike = [re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", line) for line in lines]
    counts = Counter(filter(None, alike))
    return lines[alike.index(counts.most_common(1)[0][0])] if counts else ""
