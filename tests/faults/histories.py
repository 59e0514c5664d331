"""Histories: two to four runs share folders and are stopped, killed and given other clocks, as a seed draws it.

What is promised: every record's model is there under the record's key and is the uninterrupted run's, as its results
are; a completed run has one record; no record or state that was reported is lost; whatever was killed can be finished.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL
from tempfile import TemporaryDirectory
from typing import Any

from repro.assets.checkpoints import file_sha256
from repro.errors import ReproError
from repro.records.schema import RunRecord
from repro.records.store import read_record
from repro.sections.models import read_stamp
from tests.faults.launch import Ended, Place, Plant
from tests.faults.stepped import Note, Stepped, notes_of, stopping
from tests.faults.trial import Case, Outcome
from tests.running import result_of

SECTIONS = (("finetune",), ("finetune", "inference"), ("linear", "finetune"))
CALLS = 150  # of a run
CLOCK_STEPS = (-400 * 86_400.0, -3_600.0, -2.0, 3_600.0, 400 * 86_400.0)  # seconds
REFUSALS = ("is being run by another process", "another process is making", "no fine-tuned model")


def words_of(place: Place, *sections: str, recipe: str = "tiny", results: str = "results") -> tuple[str, ...]:
    """Return the command that runs sections in a place, two steps an epoch."""
    options = ("--recipe", recipe, "--corpus", "rehearsal", "--limit", "96", "--save", str(place.models))
    return ("run", *sections, *options, "--results", str(place.folder / results))


@dataclass(frozen=True, kw_only=True)
class Start:
    """One command of a history, in `results`; the call before which it is killed, and steps of its clock by call."""

    words: tuple[str, ...]
    results: str
    kill: int | None
    steps: Mapping[int, float]


def drawn(draws: Random, place: Place) -> Iterator[Start]:
    """Draw the commands of a history; they often share a run."""
    epochs = draws.choice(("1", "2"))
    for _ in range(draws.randint(2, 4)):
        results = draws.choice(("results", "results", "elsewhere"))
        options = ["--seeds", draws.choice(("0", "0", "1", "0,1")), "--epochs", epochs]
        options += ["--save-every", "1"] * (draws.random() < 0.7) + ["--again"] * (draws.random() < 0.2)
        yield Start(
            words=(*words_of(place, *draws.choice(SECTIONS), results=results), *options), results=results,
            kill=draws.randrange(CALLS) if draws.random() < 0.6 else None,
            steps={draws.randrange(CALLS): draws.choice(CLOCK_STEPS)} if draws.random() < 0.5 else {},
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What uninterrupted runs gave: results by run key, and the SHA-256 of each file of a model by its folder."""

    results: Mapping[str, dict[str, Any]]
    models: Mapping[str, dict[str, str]]

    @classmethod
    def of(cls, place: Place) -> Reference:
        records = [read_record(path) for path in place.results.glob("runs/**/*.json")]
        models = {model.name: _digests(model) for model in place.models.glob("[!.]*")}
        return cls(results={str(record.run_key): _compared(record) for record in records}, models=models)

    def differing(self, place: Place, results: str, most: int) -> Iterator[str]:
        """Yield what is wrong with a folder's records, of which each may be there so often, and with their models."""
        keys: Counter[str | None] = Counter()
        for path in sorted((place.folder / results).glob("runs/**/*.json")):
            try:
                record = read_record(path)
                keys[record.run_key] += 1
                if self.results.get(str(record.run_key)) != _compared(record):
                    yield f"{results}: {path.name} is not the uninterrupted run's"
                if record.experiment == "finetune":
                    model = place.models / str(record.facts.get("saved_model"))
                    if read_stamp(model).run_key != record.run_key or _digests(model) != self.models.get(model.name):
                        yield f"{results}: {model.name} is not the uninterrupted run's"
            except ReproError as error:
                yield f"{results}: {error.what}"
        yield from (f"{results}: {n} records of {key}" for key, n in keys.items() if n > most)


def _compared(record: RunRecord) -> dict[str, Any]:
    return {name: value for name, value in result_of(record).items() if name != "declared_seeds"}


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir())}


def losses(place: Place, notes: Sequence[Note]) -> Iterator[str]:
    """Yield every record and state that was reported and is gone, or was not resumed from."""
    newest: dict[str, int] = {}
    for what, path, step in notes:
        if what == "recorded" and not (place.folder / path).exists():
            yield f"a record that was reported is gone: {path}"
        if what == "resumed" and step < newest.get(path, 0):
            yield f"a state was lost: {path} resumed after step {step}, not {newest[path]}"
        if what in ("saved", "resumed", "completed"):  # a completed run's states are removed
            newest[path] = step


def history(case: Case) -> Outcome:
    return play(case.number, case.place, reference())


def play(seed: int, place: Place, reference: Reference, bug: Plant | None = None) -> Outcome:
    """Play the history of a seed, finish what it left, and judge both what it left and the end."""
    draws = Random(f"history {seed}")  # noqa: S311 (an order of events, no secret)
    starts = list(drawn(draws, place))
    ended = interleave(starts, draws, place, bug)
    most = Counter(start.results for start in starts if "--again" in start.words)

    def judged() -> list[str]:
        folders = ("results", "elsewhere")
        return [line for name in folders for line in reference.differing(place, name, 1 + most[name])]

    wrong, said = judged(), ""
    for number, (start, end) in enumerate(zip(starts, ended, strict=True)):
        refused = end.code in (2, 5) and any(reason in end.err for reason in REFUSALS)
        if end.code not in (0, -SIGKILL) and not refused:
            wrong.append(f"run {number} ended with {end.code}: {end.err[-600:]}")
        if end.code != 0:
            most[start.results] += "--again" in start.words
            last = place.run(*start.words, plant=stopping(place, stops=False, bug=bug))
            wrong += [f"run {number}, alone, ended with {last.code}: {last.err[-600:]}"] * (last.code != 0)
            said = said or place.shown((end if refused else last).line)
    wrong += judged()
    wrong += [f"left: {path.name}" for path in place.models.glob(".*") if path.suffix != ".lock"]
    lost, wrong = list(losses(place, notes_of(place))), list(dict.fromkeys(map(place.shown, wrong)))
    return Outcome(lost=len(lost), wrong=len(wrong), identical=not lost + wrong, line=said, remarks=(*lost, *wrong))


def interleave(starts: Sequence[Start], draws: Random, place: Place, bug: Plant | None) -> list[Ended]:
    """Let one run at a time go on, to its next call, and return how each ended."""
    runs, running = list[Stepped](), list[int]()
    switch, join, now = draws.choice((0.02, 0.1, 0.5)), draws.choice((0.005, 0.02, 0.2)), -1
    while running or len(runs) < len(starts):
        if len(runs) < len(starts) and (not running or draws.random() < join):
            running.append(now := len(runs))
            runs.append(Stepped(place, starts[now].words, stopping(place, steps=starts[now].steps, bug=bug)))
        elif now not in running or draws.random() < switch:
            now = draws.choice(running)
        runs[now].go(SIGKILL if runs[now].calls == starts[now].kill else SIGCONT)
        if runs[now].ended is not None:
            running.remove(now)
    return [run.ended for run in runs if run.ended is not None]


@cache
def reference() -> Reference:
    """Make every run of the histories once, undisturbed."""
    with TemporaryDirectory(prefix="reference-") as folder:
        place = Place(Path(folder))
        for epochs in ("1", "2"):
            words = (*words_of(place, "finetune", "inference", "linear"), "--seeds", "0,1", "--epochs", epochs)
            ended = place.run(*words, plant=stopping(place, stops=False))
            assert ended.code == 0, ended.err
        return Reference.of(place)
