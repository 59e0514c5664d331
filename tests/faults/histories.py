"""Histories: two to four runs share folders and are stopped, killed and given other clocks, as a seed draws it.

`python -m tests.faults.histories --count 200` plays that many and exits with 1 where a promise was broken; `--first 17
--count 1` plays number 17 again. `--planted` lets the runs have a bug, one after another: each must be caught.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random
from signal import SIGKILL
from tempfile import mkdtemp
from typing import Any

from repro.assets.checkpoints import file_sha256
from repro.errors import ReproError
from repro.records.schema import RunRecord
from repro.records.store import read_record
from repro.sections import finetune
from repro.sections.models import model_folder, read_stamp
from repro.training.resume import state as states
from tests.faults.launch import Ended, Place, warm_up
from tests.faults.stepped import Note, Stepped, notes_of, stopping
from tests.running import result_of

SECTIONS = (("finetune",), ("finetune", "inference"), ("linear", "finetune"))
TINY = ("--recipe", "tiny", "--corpus", "rehearsal", "--limit", "96")  # two steps an epoch
CALLS = 150  # of a run
CLOCK_STEPS = (-400 * 86_400.0, -3_600.0, -2.0, 3_600.0, 400 * 86_400.0)  # seconds
REFUSALS = ("is being run by another process", "another process is making", "no fine-tuned model")
Bug = Callable[[], None]


def words_of(place: Place, *sections: str, results: str = "results") -> tuple[str, ...]:
    """Return the command that runs sections in a place."""
    return ("run", *sections, *TINY, "--results", str(place.folder / results), "--save", str(place.models))


@dataclass(frozen=True, kw_only=True)
class Start:
    """One command of a history, in `results`; the call before which it is killed, and steps of its clock by call."""

    words: tuple[str, ...]
    results: str
    kill: int | None
    steps: Mapping[int, float]


def drawn(draws: Random, place: Place) -> list[Start]:
    """Draw the commands of a history; they often share a run."""
    starts, epochs = [], draws.choice(("1", "2"))
    for _ in range(draws.randint(2, 4)):
        results = draws.choice(("results", "results", "elsewhere"))
        options = ["--seeds", draws.choice(("0", "0", "1", "0,1")), "--epochs", epochs]
        options += ["--save-every", "1"] * (draws.random() < 0.7) + ["--again"] * (draws.random() < 0.2)
        start = Start(
            words=(*words_of(place, *draws.choice(SECTIONS), results=results), *options), results=results,
            kill=draws.randrange(CALLS) if draws.random() < 0.6 else None,
            steps={draws.randrange(CALLS): draws.choice(CLOCK_STEPS)} if draws.random() < 0.5 else {},
        )  # fmt: skip
        starts.append(start)
    return starts


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What uninterrupted runs gave: results by run key, and the SHA-256 of each file of a model by its folder."""

    results: Mapping[str, dict[str, Any]]
    models: Mapping[str, dict[str, str]]


def reference(folder: Path) -> Reference:
    """Make every run of the histories once, undisturbed."""
    place = Place(folder / "reference")
    for epochs in ("1", "2"):
        words = (*words_of(place, "finetune", "inference", "linear"), "--seeds", "0,1", "--epochs", epochs)
        ended = place.run(*words, plant=stopping(place, stops=False))
        assert ended.code == 0, ended.err
    records = [read_record(path) for path in place.results.glob("runs/**/*.json")]
    models = {model.name: digests(model) for model in place.models.glob("[!.]*")}
    return Reference(results={str(record.run_key): compared(record) for record in records}, models=models)


def compared(record: RunRecord) -> dict[str, Any]:
    return {name: value for name, value in result_of(record).items() if name != "declared_seeds"}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir())}


def broken_promises(place: Place, expected: Reference, again: Counter[str]) -> Iterator[str]:
    """Yield what is wrong in a place where nothing runs; `again` counts by folder the starts that repeat a run."""
    notes = notes_of(place)
    for path in (place.folder / note.path for note in notes if note.what == "recorded"):
        if not path.exists():
            yield f"a record that was reported is gone: {path.name}"
    for results in ("results", "elsewhere"):
        keys: Counter[str | None] = Counter()
        for path in sorted((place.folder / results).glob("runs/**/*.json")):
            try:
                record = read_record(path)
                keys[record.run_key] += 1
                yield from wrong_in(record, place, expected)
            except ReproError as error:
                yield f"{results}: {error.what}"
        yield from (f"{results}: {n} records of {key}" for key, n in keys.items() if n > 1 + again[results])
    yield from lost_states(notes)


def wrong_in(record: RunRecord, place: Place, expected: Reference) -> Iterator[str]:
    """Yield how a record differs from that of the uninterrupted run, and what its model lacks."""
    label = f"{record.experiment}, seed {record.settings.seed}"
    if expected.results.get(str(record.run_key)) != compared(record):
        yield f"{label}: its result is not that of the uninterrupted run"
    if record.experiment == "finetune":
        model = place.models / str(record.facts.get("saved_model"))
        if read_stamp(model).run_key != record.run_key or digests(model) != expected.models.get(model.name):
            yield f"{label}: {model.name} is not the uninterrupted run's"


def lost_states(notes: Sequence[Note]) -> Iterator[str]:
    """Yield every run that resumed before a state whose saving had been reported."""
    newest: dict[str, int] = {}
    for note in notes:
        if note.what == "resumed" and note.number < newest.get(note.path, 0):
            yield f"a state was lost: {note.path} resumed after step {note.number}, not {newest[note.path]}"
        if note.what in ("saved", "resumed", "completed"):  # a completed run's states are removed
            newest[note.path] = note.number


def play(seed: int, place: Place, expected: Reference, bug: Bug | None = None) -> tuple[list[str], Counter[str]]:
    """Play a history, finish what it left, and return the broken promises and counts of what happened."""
    draws = Random(f"history {seed}")  # noqa: S311 (an order of events, no secret)
    starts = drawn(draws, place)
    ended, counts = interleave(starts, draws, place, bug)
    again: Counter[str] = Counter(start.results for start in starts if "--again" in start.words)
    wrong = list(broken_promises(place, expected, again))
    for number, start in enumerate(starts):
        end = ended[number]
        refused = end.code in (2, 5) and any(reason in end.err for reason in REFUSALS)
        if not (end.code in (0, -SIGKILL) or refused):
            wrong.append(f"run {number} ended with {end.code}: {end.err[-600:]}")
        if end.code != 0:
            finish = place.run(*start.words, plant=planted(bug, stopping(place, number, stops=False)))
            again[start.results] += "--again" in start.words
            counts["refused"] += refused
            if finish.code != 0:
                wrong.append(f"run {number}, started again alone, ended with {finish.code}: {finish.err[-600:]}")
    wrong += broken_promises(place, expected, again)
    wrong += [f"left: {path.name}" for path in place.models.glob(".*") if not path.name.endswith(".lock")]
    counts["records"] = len(list(place.folder.glob("*/runs/**/*.json")))
    for note in notes_of(place):
        counts["states saved"] += note.what == "saved"
        counts["resumed after a step"] += note.what == "resumed" and note.number > 0
    return list(dict.fromkeys(wrong)), counts


def planted(bug: Bug | None, plant: Callable[[], object]) -> Callable[[], object]:
    return plant if bug is None else lambda: (bug(), plant())


def interleave(
    starts: Sequence[Start], draws: Random, place: Place, bug: Bug | None
) -> tuple[dict[int, Ended], Counter[str]]:
    """Let one run at a time go on, to its next call; return how each ended."""
    ended, counts, running = dict[int, Ended](), Counter[str](processes=len(starts)), list[Stepped]()
    waiting, switch, join = list(enumerate(starts)), draws.choice((0.02, 0.1, 0.5)), draws.choice((0.005, 0.02, 0.2))
    run: Stepped | None = None
    while waiting or running:
        if waiting and (not running or draws.random() < join):
            number, start = waiting.pop(0)
            run = Stepped(place, start.words, planted(bug, stopping(place, number, steps=start.steps)), number)
            running.append(run)
            counts["clock steps"] += len(start.steps)
        elif run not in running or draws.random() < switch:
            counts["pauses"] += run in running
            run = draws.choice(running)
        assert run is not None
        kill = run.calls == starts[run.number].kill
        run.go(SIGKILL) if kill else run.go()
        counts["calls"] += 1
        if run.ended is not None:
            running.remove(run)
            ended[run.number] = run.ended
            counts["kills"] += kill
    return ended, counts


def _two_owners_of_a_model() -> None:
    vars(finetune)["own_model"] = lambda context, seed: nullcontext()


def _a_record_without_its_model() -> None:
    vars(finetune)["save_model"] = lambda model, context, seed, scores: model_folder(context, seed)


def _older_states_removed_first() -> None:
    write_state = states.write_state

    def write(folder: Path, *arguments: Any, **named: Any) -> Path:
        for older in states.states_in(folder):
            older.unlink()
        return write_state(folder, *arguments, **named)

    vars(states)["write_state"] = write


PLANTED: Mapping[str, Bug] = {
    "two owners of a model": _two_owners_of_a_model,
    "a record without its model": _a_record_without_its_model,
    "older states removed first": _older_states_removed_first,
}


def caught(bug: str, folder: Path, expected: Reference, most: int = 60) -> tuple[int, list[str]]:
    """Play histories with a planted bug until one is caught; return its number and what was broken."""
    for seed in range(most):
        place = Place(folder / bug / str(seed))
        if wrong := play(seed, place, expected, PLANTED[bug])[0]:
            return seed, wrong
    return most, []


def main() -> None:
    """Play histories and say what was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--output", type=Path, help="write the tally to this file")
    chosen = parser.parse_args()
    warm_up()
    folder, begin, say = Path(mkdtemp(prefix="histories-")), time.monotonic(), sys.stdout.write
    expected, counts, broken = reference(folder), Counter[str](), dict[int, list[str]]()
    if chosen.planted:
        seen = {bug: caught(bug, folder, expected) for bug in PLANTED}
        say("".join(f"{bug}: {wrong[:1] or 'NOT CAUGHT'} in history {n}\n" for bug, (n, wrong) in seen.items()))
        sys.exit(not all(wrong for _, wrong in seen.values()))
    for seed in range(chosen.first, chosen.first + chosen.count):
        place = Place(folder / str(seed))
        wrong, happened = play(seed, place, expected)
        counts += happened
        if wrong:
            broken[seed] = [place.shown(line) for line in wrong]
            say(f"history {seed}:\n" + "".join(f"  {line}\n" for line in broken[seed]))
        shutil.rmtree(place.folder)
        if seed % 20 == 19:
            say(f"{seed + 1 - chosen.first} histories, {len(broken)} broken, {time.monotonic() - begin:.0f} s\n")
            sys.stdout.flush()
    tally = {"histories": chosen.count, "first": chosen.first, "broken": broken, **counts}
    text = json.dumps(tally | {"seconds": round(time.monotonic() - begin)}, indent=1) + "\n"
    say(text)
    if chosen.output:
        chosen.output.write_text(text, encoding="utf-8")
    shutil.rmtree(folder)
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
