"""What came of a trial: whether anything was lost or wrong, and whether the finished run is the undisturbed one."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from repro.assets.checkpoints import WEIGHTS, file_sha256
from repro.errors import CheckpointError, RecordError
from repro.records.record import RunRecord, read_record
from repro.sections.models import read_stamp
from tests.faults.launch import Ended, Place, Run, start

TIMED = {"train_seconds", "tweets_per_second"}  # of an epoch: they differ from run to run
# facts that tell in how many parts a run was made, and whether there was room for its states and its model
PARTS = {"resumed_after_steps", "states_not_saved", "saved_model", "not_saved"}
RECORD = re.compile(r"^  (\S.*\.json)$", re.MULTILINE)  # as `repro run` names what it has written
RESULT = ("experiment", "recipe", "corpus", "settings", "scores", "rows")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The undisturbed runs: results and SHA-256 of the weights by seed, and how long one takes."""

    results: Mapping[int, dict[str, Any]]
    weights: Mapping[int, str]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Case:
    """One trial to make: its number, its folder, the undisturbed runs and what it draws from."""

    number: int
    place: Place
    reference: Reference
    drawn_from: str

    @property
    def draws(self) -> Random:
        """A source of draws that is the same whenever this trial is made."""
        return Random(f"{self.drawn_from} {self.number}")  # noqa: S311 (moments and bytes to hit, no secrets)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One trial: what was lost or passed though wrong, whether the finished run is the undisturbed one, and remarks.

    `identical` is None where the fault leaves nothing to finish. A remark says what is not as it should be.
    """

    lost: int = 0
    wrong: int = 0
    identical: bool | None = None
    told: str = ""
    remarks: tuple[str, ...] = ()

    def passed(self, ended: Ended) -> Outcome:
        """Return the outcome with a result that passed where it should have been refused."""
        found = self.but(f"it passed, with exit code {ended.code}: {ended.told}")
        return replace(found, wrong=found.wrong + 1)

    def but(self, remark: str) -> Outcome:
        """Return the outcome with one more remark."""
        return replace(self, remarks=(*self.remarks, remark))


def result_of(record: RunRecord) -> dict[str, Any]:
    """Return what a run found, without seconds, memory and provenance."""
    whole = record.model_dump()
    return {
        **{name: whole[name] for name in RESULT},
        "facts": {name: value for name, value in whole["facts"].items() if name not in PARTS},
        "epochs": [{k: v for k, v in epoch.items() if k not in TIMED} for epoch in whole["epochs"]],
    }


def records_in(place: Place) -> dict[Path, RunRecord | None]:
    """Return every record by its path; None for one that is refused."""
    found: dict[Path, RunRecord | None] = {}
    for path in sorted((place.results / "runs").rglob("*.json")):
        try:
            found[path] = read_record(path)
        except RecordError:
            found[path] = None
    return found


def reported(ended: Ended) -> list[Path]:
    """Return the records that a run said it had written."""
    return [Path(name) for name in RECORD.findall(ended.out)]


def models_in(place: Place) -> dict[int, str]:
    """Return the SHA-256 of the weights of every saved model that its stamp vouches for, by seed."""
    found = {}
    for file in sorted(place.models.glob(f"[!.]*/{WEIGHTS}")):
        try:
            found[read_stamp(file.parent).settings.seed] = file_sha256(file)
        except CheckpointError:
            continue
    return found


def judge(
    place: Place,
    reference: Reference,
    runs: Sequence[Ended],
    *,
    seeds: Sequence[int] = (0,),
    standing: Sequence[Path] = (),
    lost_states: int = 0,
    told: str | None = None,
) -> Outcome:
    """Judge a trial by what stands in its folder after its last run.

    `standing` are records that stood before the fault; with those that the runs reported they must still be there.
    """
    records, models = records_in(place), models_in(place)
    promised = {*standing, *(path for ended in runs for path in reported(ended))}
    lost = sorted(path for path in promised if records.get(path) is None)
    good = [record for record in records.values() if record is not None]
    wrong = [r for r in good if result_of(r) != reference.results.get(r.settings.seed)]
    others = [seed for seed, weights in models.items() if weights != reference.weights.get(seed)]
    times = Counter(record.settings.seed for record in good)
    unsaved = {r.settings.seed for r in good if "not_saved" in r.facts and any("not saved" in e.err for e in runs)}
    lacking = [seed for seed in seeds if seed not in models and seed not in unsaved]
    remarks = [f"{path.name} is gone or unreadable" for path in lost]
    remarks += [f"seed {r.settings.seed}: another result in {_differing(r, reference)}" for r in wrong]
    remarks += [f"seed {seed}: other weights" for seed in others]
    remarks += [f"seed {seed}: {times[seed]} records" for seed in seeds if times[seed] != 1]
    remarks += [f"seed {seed}: no saved model" for seed in lacking]
    remarks += [f"{path.name} is left and refused" for path, record in records.items() if record is None]
    remarks += [f"exit code {e.code}: {place.shown(e.err)[-800:]}" for e in runs if not e.killed and not e.answered]
    if runs[-1].code != 0:
        remarks.append(f"the last run ended with {runs[-1].code}: {place.shown(runs[-1].told)}")
    return Outcome(
        lost=len(lost) + lost_states,
        wrong=len(wrong) + len(others),
        identical=not wrong and not others and not lacking and all(times[seed] == 1 for seed in seeds),
        told=place.shown(runs[-1].told if told is None else told),
        remarks=tuple(remarks),
    )


def struck(
    case: Case,
    draws: Random,
    strike: Callable[[Run], None],
    *,
    plant: Callable[[], object] | None = None,
    as_nobody: bool = False,
) -> Ended:
    """Start a run, strike it at a moment drawn evenly over its usual time, and return how it ended.

    The moment is drawn again where it came too late, or too early, for the run to notice: it said nothing, and what
    it left is whole and that of the undisturbed run.
    """
    while True:
        run = start(case.place, case.place.arguments(), plant=plant, as_nobody=as_nobody)
        run.rest_until(draws.random() * case.reference.seconds)
        strike(run)
        ended = run.wait()
        if ended.code != 0 or ended.err:
            return ended
        set_modes(case.place.results, 0o755)
        found = judge(case.place, case.reference, [ended])
        if found.lost or found.wrong or not found.identical:  # it did notice, and said nothing
            return ended
        for left in (*case.place.results.iterdir(), case.place.models):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)
        case.place.saved.unlink()


def set_modes(results: Path, mode: int) -> None:
    """Set the mode of every folder from the innermost out; they come and go while a run works."""
    for folder, _, _ in os.walk(results, topdown=False):
        with suppress(FileNotFoundError):
            Path(folder).chmod(mode)


def finished(
    case: Case,
    runs: Sequence[Ended],
    *,
    told: str | None = None,
    plant: Callable[[], object] | None = None,
    as_nobody: bool = False,
    real: bool = False,
) -> Outcome:
    """Start the run again, to its end, and judge all of it; it must go on from the newest state that was saved."""
    before = newest_step(case.place)
    last = start(case.place, case.place.arguments(), plant=plant, as_nobody=as_nobody, real=real).wait()
    return judge(case.place, case.reference, [*runs, last], lost_states=state_lost(last, before), told=told)


def state_lost(ended: Ended, step_before: int) -> int:
    """Return 1 where the run that wrote a record went on from before the newest state that was saved, else 0."""
    for path in reported(ended):
        found = read_record(path).facts.get("resumed_after_steps")
        steps = [step for step in found if isinstance(step, int)] if isinstance(found, list) else []
        if (steps or [0])[-1] < step_before:
            return 1
    return 0


def newest_step(place: Place) -> int:
    """Return the step of the newest state that stands or that a run took for saved, 0 where none does."""
    standing = [int(state.name.removeprefix("step-")) for state in place.states()]
    return max([0, *standing, *map(int, place.saved.read_text(encoding="utf-8").split())])


def _differing(record: RunRecord, reference: Reference) -> str:
    wanted, found = reference.results.get(record.settings.seed), result_of(record)
    if wanted is None:
        return "a seed that was not asked for"
    return ", ".join(name for name in found if found[name] != wanted[name])
