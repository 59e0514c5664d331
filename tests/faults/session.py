"""A session of faults: the workers, the undisturbed runs that all is held against, and the rows of the tally."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from repro.records.faults import FaultRow
from repro.records.provenance import utc_now
from tests.faults.launch import Place, run, start
from tests.faults.planted import Call, killed_at, read_trace, traced
from tests.faults.trial import Case, Outcome, Reference, models_in, records_in, result_of

Trial = Callable[[Case], Outcome]
SEEDS = (0, 1)
DRAWN_FROM = 5


class Session:
    """Runs trials on the workers and keeps the rows of the tally."""

    def __init__(self, *, folder: Path, pool: Any, share: float) -> None:
        self.folder = folder
        self.pool = pool
        self.share = share
        self.rows: list[FaultRow] = []
        self.begun = time.monotonic()
        self.started = utc_now()
        self.reference, self.steps = _undisturbed(folder, pool)
        self.calls: list[Call] = pool.apply(_calls_of_a_run, (folder / "traced",))

    def times(self, number: int) -> int:
        """Return how often to try, of so many."""
        return max(1, round(number * self.share))

    @property
    def undisturbed(self) -> Path:
        """The folder of the undisturbed run of seed 0: its record and its saved model."""
        return self.folder / f"undisturbed-{SEEDS[0]}"

    def state(self, copies: int) -> Place:
        """Return a place in which a run was killed late, and left so many saved states."""
        place = Place(folder=self.folder / f"states-{copies}")
        renames = [call for call in self.calls if call.name in ("rename", "replace") and "unfinished" in call.path]
        for call in renames[len(renames) // 2 :]:
            for after in (True, False):
                shutil.rmtree(place.folder, ignore_errors=True)
                self.pool.apply(_killed_run, (place, call, after))
                if len(place.states()) == copies:
                    return place
        raise AssertionError(f"no kill at a rename left {copies} states")

    def inject(self, fault: str, how: str, trial: Trial, times: int) -> list[Outcome]:
        """Make the trials, keep their row, and fail where anything is not as it should be."""
        folder = self.folder / re.sub(r"\W+", "-", fault)
        cases = [
            Case(
                number=i,
                place=Place(folder=folder / str(i)),
                reference=self.reference,
                drawn_from=f"{DRAWN_FROM} {fault}",
            )
            for i in range(times)
        ]
        outcomes: list[Outcome] = self.pool.map(trial, cases, chunksize=1)
        finished = [o for o in outcomes if o.identical is not None]
        self.rows.append(
            FaultRow(
                fault=fault,
                how=how,
                tried=len(outcomes),
                lost=sum(o.lost for o in outcomes),
                wrong=sum(o.wrong for o in outcomes),
                finished=len(finished),
                identical=sum(o.identical is True for o in finished),
                told=_mostly([o.told for o in outcomes]),
            )
        )
        remarks = [
            f"trial {case.number}: {text}" for case, o in zip(cases, outcomes, strict=True) for text in o.remarks
        ]
        assert not remarks, "\n".join(remarks)
        assert not any(o.lost or o.wrong or o.identical is False for o in outcomes)
        shutil.rmtree(folder, ignore_errors=True)
        return outcomes


def _undisturbed(folder: Path, pool: Any) -> tuple[Reference, int]:
    found = pool.map(_reference_run, [(folder / f"undisturbed-{seed}", seed) for seed in SEEDS], chunksize=1)
    results = {seed: result for seed, (result, _, _) in zip(SEEDS, found, strict=True)}
    weights = {seed: sha256 for seed, (_, sha256, _) in zip(SEEDS, found, strict=True)}
    steps = sum(epoch["steps"] for epoch in results[0]["epochs"])
    return Reference(results=results, weights=weights, seconds=max(seconds for *_, seconds in found)), steps


def _reference_run(asked: tuple[Path, int]) -> tuple[dict[str, Any], str, float]:
    place, seed = Place(folder=asked[0]), asked[1]
    begun = time.perf_counter()
    ended = run(place, place.arguments(seed=seed))
    seconds = time.perf_counter() - begun
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


def _mostly(told: Sequence[str]) -> str:
    """Return the first of the lines that were told most often, whatever numbers stand in them."""
    alike = Counter(re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", line) for line in told if line)
    if not alike:
        return ""
    most = alike.most_common(1)[0][0]
    return next(line for line in told if re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", line) == most)
