"""What came of a trial: whether anything was lost or wrong, and whether the finished run is the undisturbed one."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from repro.assets.checkpoints import WEIGHTS, file_sha256
from repro.errors import CheckpointError, RecordError
from repro.records.schema import RunRecord
from repro.records.store import read_record
from repro.sections.models import read_stamp
from repro.spec import differing
from repro.training.resume.state import NAME
from tests.faults.launch import Ended, Place, Run
from tests.running import result_of

RECORD = re.compile(r"^  (\S.*\.json)$", re.MULTILINE)  # as `repro run` names what it has written


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """The undisturbed run; its result, the SHA-256 of its weights, and how long it takes.

    `unfinished` is a run that was killed where it would have written its record, with two states.
    """

    place: Place
    unfinished: Place
    result: Mapping[str, Any]
    weights: str
    seconds: float

    @property
    def steps(self) -> int:
        return sum(epoch["steps"] for epoch in self.result["epochs"])


@dataclass(frozen=True, kw_only=True)
class Case:
    """One trial to make."""

    number: int
    place: Place
    undisturbed: Undisturbed
    drawn_from: str

    @cached_property
    def draws(self) -> Random:
        return Random(f"{self.drawn_from} {self.number}")  # noqa: S311 (moments and bytes to hit, no secrets)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was lost, what passed though wrong, and whether the finished run is the undisturbed one."""

    lost: int = 0
    wrong: int = 0
    identical: bool | None = None  # nothing to finish
    line: str = ""  # that a user read
    remarks: tuple[str, ...] = ()  # what is not as it should be

    def unless(self, right: bool, remark: str, *, wrong: int = 0) -> Outcome:
        return self if right else replace(self, wrong=self.wrong + wrong, remarks=(*self.remarks, remark))

    def refused(self, ended: Ended, right: bool) -> Outcome:
        return self.unless(right, f"it passed, with exit code {ended.code}: {ended.line}", wrong=1)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A row of the tally: a fault, how it is put into a run, the trial that does it, and how often."""

    fault: str
    how: str
    trial: Callable[[Case], Outcome | None]  # None: there are fewer such trials
    times: int

    def __str__(self) -> str:
        return self.fault


def records_in(place: Place) -> dict[Path, RunRecord | None]:
    """Every record by its path; None for one that is refused."""
    records: dict[Path, RunRecord | None] = {}
    for path in sorted((place.results / "runs").rglob("*.json")):
        records[path] = None
        with suppress(RecordError):
            records[path] = read_record(path)
    return records


def reported(ended: Ended) -> list[Path]:
    return [Path(name) for name in RECORD.findall(ended.out)]


def models_in(place: Place) -> list[str]:
    """The SHA-256 of the weights of every saved model that its stamp vouches for."""
    models = []
    for file in sorted(place.models.glob(f"[!.]*/{WEIGHTS}")):
        with suppress(CheckpointError):
            read_stamp(file.parent)
            models.append(file_sha256(file))
    return models


def judge(case: Case, runs: Sequence[Ended], *, lost_states: int = 0, line: str | None = None) -> Outcome:
    """Judge a trial by what is in its folder after its last run; records that a run reported must still be there."""
    place, expected = case.place, case.undisturbed
    records, models = records_in(place), models_in(place)
    lost = sorted(path for ended in runs for path in reported(ended) if records.get(path) is None)
    good = [record for record in records.values() if record is not None]
    unsaved = any("not_saved" in record.facts for record in good) and any("not saved" in e.err for e in runs)
    wrong = [
        *(f"another result in {names}" for r in good if (names := differing(result_of(r), expected.result))),
        *("other weights" for sha256 in models if sha256 != expected.weights),
    ]
    missing = [*[f"{len(good)} records"] * (len(good) != 1), *["no saved model"] * (not models and not unsaved)]
    remarks = [
        *(f"{path.name} is gone or unreadable" for path in lost),
        *(f"{path.name} is left and refused" for path, record in records.items() if record is None),
        *(f"exit code {e.code}: {place.shown(e.err)[-800:]}" for e in runs if not e.answered),
    ]
    return Outcome(
        lost=len(lost) + lost_states, wrong=len(wrong), identical=not wrong and not missing,
        line=place.shown(runs[-1].line if line is None else line), remarks=(*wrong, *missing, *remarks),
    ).unless(runs[-1].code == 0, f"the last run ended with {runs[-1].code}: {place.shown(runs[-1].line)}")  # fmt: skip


def struck(case: Case, strike: Callable[[Run], None], **options: Any) -> Ended:
    """Start a run, strike it at a moment drawn evenly over its usual time, and return how it ended.

    The moment is drawn again where it came too late, or too early, for the run to notice: it said nothing, and what
    it left is whole and that of the undisturbed run.
    """
    draws = case.draws
    while True:
        run = case.place.start(**options)
        run.rest_until(draws.random() * case.undisturbed.seconds)
        strike(run)
        ended = run.wait()
        if ended.code != 0 or ended.err:
            return ended
        set_modes(case.place.results, 0o755)
        outcome = judge(case, [ended])
        if outcome.lost or outcome.wrong or not outcome.identical:  # it did notice, and said nothing
            return ended
        for rest in (case.place.results / "runs", case.place.results / "ballast", case.place.models, case.place.saved):
            shutil.rmtree(rest) if rest.is_dir() else rest.unlink(missing_ok=True)


def set_modes(results: Path, mode: int) -> None:
    """Set the mode of every folder from the innermost out; they come and go while a run works."""
    for folder, _, _ in os.walk(results, topdown=False):
        with suppress(FileNotFoundError):
            Path(folder).chmod(mode)


def finished(case: Case, *runs: Ended, line: str | None = None, **options: Any) -> Outcome:
    """Start the run again, to its end, and judge all of it; it must resume from the newest state that was saved."""
    noted = map(int, case.place.saved.read_text(encoding="utf-8").split())
    present = (int(match[1]) for path in case.place.states() if (match := NAME.fullmatch(path.name)))
    newest = max([0, *present, *noted])
    last = case.place.run(**options)
    resumed: list[Any] = [read_record(path).facts.get("resumed_after_steps") or [0] for path in reported(last)]
    return judge(case, [*runs, last], lost_states=int(any(steps[-1] < newest for steps in resumed)), line=line)
