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
from repro.records.schema import RunRecord
from repro.records.store import read_record
from repro.sections.models import read_stamp
from tests.faults.launch import Ended, Place, Plant, Run, start
from tests.faults.planted import Call

TIMED = {"train_seconds", "tweets_per_second"}  # of an epoch: they differ from run to run
# facts that say in how many parts a run was trained, and whether there was room for its states and its model
PARTS = {"resumed_after_steps", "states_not_saved", "saved_model", "not_saved"}
RECORD = re.compile(r"^  (\S.*\.json)$", re.MULTILINE)  # as `repro run` names what it has written
RESULT = ("experiment", "recipe", "corpus", "settings", "scores", "rows")


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """The undisturbed runs: their folder, results and SHA-256 of the weights by seed, and how long one takes.

    `calls` are those by which a run's files become durable, named or gone; `epoch_steps` its optimizer steps.
    """

    folder: Path
    results: Mapping[int, dict[str, Any]]
    weights: Mapping[int, str]
    seconds: float
    calls: Sequence[Call] = ()

    @property
    def steps(self) -> int:
        """Optimizer steps of a run."""
        return sum(epoch["steps"] for epoch in self.results[0]["epochs"])


@dataclass(frozen=True, kw_only=True)
class Case:
    """One trial to make: its number, its folder, the undisturbed runs and what it draws from."""

    number: int
    place: Place
    undisturbed: Undisturbed
    drawn_from: str

    @property
    def draws(self) -> Random:
        """A source of draws that is the same whenever this trial is made."""
        return Random(f"{self.drawn_from} {self.number}")  # noqa: S311 (moments and bytes to hit, no secrets)

    def run(self, plant: Plant | None = None, **options: Any) -> Ended:
        """Run the command to its end."""
        return start(self.place, self.place.arguments(), plant=plant, **options).wait()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One trial: what was lost or passed though wrong, whether the finished run is the undisturbed one, and remarks.

    `identical` is None where the fault leaves nothing to finish. A remark says what is not as it should be; `line` is
    one that a user read.
    """

    lost: int = 0
    wrong: int = 0
    identical: bool | None = None
    line: str = ""
    remarks: tuple[str, ...] = ()

    def unless(self, right: bool, remark: str, *, wrong: int = 0) -> Outcome:
        """Return the outcome as it is where something is right, else with a remark."""
        return self if right else replace(self, wrong=self.wrong + wrong, remarks=(*self.remarks, remark))

    def refused(self, ended: Ended, right: bool) -> Outcome:
        """Return the outcome of what should have been refused, and was if this is right."""
        return self.unless(right, f"it passed, with exit code {ended.code}: {ended.line}", wrong=1)


def result_of(record: RunRecord) -> dict[str, Any]:
    """Return what decides a run's claims, without seconds, memory and provenance."""
    whole = record.model_dump()
    return {
        **{name: whole[name] for name in RESULT},
        "facts": {name: value for name, value in whole["facts"].items() if name not in PARTS},
        "epochs": [{k: v for k, v in epoch.items() if k not in TIMED} for epoch in whole["epochs"]],
    }


def records_in(place: Place) -> dict[Path, RunRecord | None]:
    """Return every record by its path; None for one that is refused."""
    records: dict[Path, RunRecord | None] = {}
    for path in sorted((place.results / "runs").rglob("*.json")):
        records[path] = None
        with suppress(RecordError):
            records[path] = read_record(path)
    return records


def reported(ended: Ended) -> list[Path]:
    """Return the records that a run said it had written."""
    return [Path(name) for name in RECORD.findall(ended.out)]


def models_in(place: Place) -> dict[int, str]:
    """Return the SHA-256 of the weights of every saved model that its stamp vouches for, by seed."""
    models = {}
    for file in sorted(place.models.glob(f"[!.]*/{WEIGHTS}")):
        with suppress(CheckpointError):
            models[read_stamp(file.parent).settings.seed] = file_sha256(file)
    return models


def judge(
    case: Case, runs: Sequence[Ended], *, seeds: Sequence[int] = (0,), lost_states: int = 0, line: str | None = None
) -> Outcome:
    """Judge a trial by what is in its folder after its last run; records that a run reported must still be there."""
    place, undisturbed = case.place, case.undisturbed
    records, models = records_in(place), models_in(place)
    lost = sorted(path for ended in runs for path in reported(ended) if records.get(path) is None)
    good = [record for record in records.values() if record is not None]
    wrong = [record for record in good if result_of(record) != undisturbed.results.get(record.settings.seed)]
    others = [seed for seed, weights in models.items() if weights != undisturbed.weights.get(seed)]
    times = Counter(record.settings.seed for record in good)
    unsaved = {r.settings.seed for r in good if "not_saved" in r.facts and any("not saved" in e.err for e in runs)}
    lacking = [seed for seed in seeds if seed not in models and seed not in unsaved]
    remarks = [
        *(f"{path.name} is gone or unreadable" for path in lost),
        *(f"seed {r.settings.seed}: another result in {_differing(r, undisturbed)}" for r in wrong),
        *(f"seed {seed}: other weights" for seed in others),
        *(f"seed {seed}: {times[seed]} records" for seed in seeds if times[seed] != 1),
        *(f"seed {seed}: no saved model" for seed in lacking),
        *(f"{path.name} is left and refused" for path, record in records.items() if record is None),
        *(f"exit code {e.code}: {place.shown(e.err)[-800:]}" for e in runs if not e.killed and not e.answered),
    ]
    return Outcome(
        lost=len(lost) + lost_states,
        wrong=len(wrong) + len(others),
        identical=not wrong and not others and not lacking and all(times[seed] == 1 for seed in seeds),
        line=place.shown(runs[-1].line if line is None else line),
        remarks=tuple(remarks),
    ).unless(runs[-1].code == 0, f"the last run ended with {runs[-1].code}: {place.shown(runs[-1].line)}")


def struck(case: Case, draws: Random, strike: Callable[[Run], None], **options: Any) -> Ended:
    """Start a run, strike it at a moment drawn evenly over its usual time, and return how it ended.

    The moment is drawn again where it came too late, or too early, for the run to notice: it said nothing, and what
    it left is whole and that of the undisturbed run.
    """
    while True:
        run = start(case.place, case.place.arguments(), **options)
        run.rest_until(draws.random() * case.undisturbed.seconds)
        strike(run)
        ended = run.wait()
        if ended.code != 0 or ended.err:
            return ended
        set_modes(case.place.results, 0o755)
        outcome = judge(case, [ended])
        if outcome.lost or outcome.wrong or not outcome.identical:  # it did notice, and said nothing
            return ended
        for rest in (*case.place.results.iterdir(), case.place.models):
            if rest.is_dir():
                shutil.rmtree(rest)
            else:
                rest.unlink(missing_ok=True)
        case.place.saved.unlink()


def set_modes(results: Path, mode: int) -> None:
    """Set the mode of every folder from the innermost out; they come and go while a run works."""
    for folder, _, _ in os.walk(results, topdown=False):
        with suppress(FileNotFoundError):
            Path(folder).chmod(mode)


def finished(case: Case, runs: Sequence[Ended], *, line: str | None = None, **options: Any) -> Outcome:
    """Start the run again, to its end, and judge all of it; it must resume from the newest state that was saved."""
    before = newest_step(case.place)
    last = case.run(**options)
    return judge(case, [*runs, last], lost_states=state_lost(last, before), line=line)


def state_lost(ended: Ended, step_before: int) -> int:
    """Return 1 where the run that wrote a record resumed from before the newest state that was saved, else 0."""
    for path in reported(ended):
        steps: Any = read_record(path).facts.get("resumed_after_steps") or [0]
        if steps[-1] < step_before:
            return 1
    return 0


def newest_step(place: Place) -> int:
    """Return the step of the newest state that there is or that a run took for saved, 0 where there is none."""
    present = [int(state.name.removeprefix("step-")) for state in place.states()]
    return max([0, *present, *map(int, place.saved.read_text(encoding="utf-8").split())])


def _differing(record: RunRecord, undisturbed: Undisturbed) -> str:
    expected, result = undisturbed.results.get(record.settings.seed), result_of(record)
    if expected is None:
        return "a seed that was not asked for"
    return ", ".join(name for name in result if result[name] != expected[name])
