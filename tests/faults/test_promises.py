"""What is promised holds in drawn histories of several runs, and at each cut of one run; and the checker sees bugs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from repro.sections import finetune
from repro.sections.models import model_folder
from repro.training.resume import state as states
from tests.faults.cuts import LEFT, cuts_of, losses
from tests.faults.histories import Reference, play, reference_in, words_of
from tests.faults.launch import Place, Plant, warm_up
from tests.faults.stepped import Note, stopping


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    warm_up()
    return reference_in(tmp_path_factory.mktemp("histories"))


@pytest.mark.parametrize("seed", range(5))
def test_in_a_history_of_several_runs_nothing_is_lost_or_wrong(seed: int, reference: Reference, tmp_path: Path) -> None:
    assert play(seed, Place(tmp_path), reference)[0] == []


def older_states_removed_first() -> None:
    write_state = states.write_state

    def write(folder: Path, *arguments: Any, **named: Any) -> Path:
        for older in states.states_in(folder):
            older.unlink()
        return write_state(folder, *arguments, **named)

    vars(states)["write_state"] = write


PLANTED: Mapping[str, tuple[Plant, str]] = {  # and a part of what is said of it
    "two owners of a model": (lambda: vars(finetune).update(own_model=lambda *run: nullcontext()), "model"),
    "a record without its model": (
        lambda: vars(finetune).update(save_model=lambda _, context, seed, scores: model_folder(context, seed)),
        "no model folder",
    ),
    "older states removed first": (older_states_removed_first, "a state was lost"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught_in_a_history(bug: str, reference: Reference, tmp_path: Path) -> None:
    plant, expected = PLANTED[bug]
    histories = (play(seed, Place(tmp_path / str(seed)), reference, plant)[0] for seed in range(60))
    assert any(expected in line for wrong in histories for line in wrong)


# options of the run that is cut, and whether its folders are there, or it was completed before
CUTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "a run": ((), "folders"),
    "again": (("--again",), "completed"),
    "new folders": ((), "nothing"),
}
KNOWN = {
    "again": "between its two renames save_model leaves no model where a record names one",
    "new folders": "a --results and a --save folder that a run makes are never synced into the folder that lists them",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.xfail(strict=True, reason=KNOWN.get(name, ""))] * (name in KNOWN))
        for name in CUTS
    ],
)
def test_a_run_cut_at_any_call_is_finished_without_a_loss(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    warm_up()
    options, before = CUTS[name]
    place, begin, every = Place(tmp_path / "whole"), time.monotonic(), request.config.getoption("--every")

    def words(place: Place) -> tuple[str, ...]:
        return (*words_of(place, "finetune"), "--save-every", "1", *options)

    for folder in (place.folder, place.results, place.models) if before == "folders" else (place.folder,):
        folder.mkdir(parents=True)
    if before == "completed":
        assert place.run(*words(place), plant=stopping(place, stops=False)).code == 0
    cuts = list(cuts_of(place, words(place)))
    reference, folders = Reference.of(place), dict[str, tuple[str, Any, list[Note]]]()
    for number, (disk, notes) in enumerate(cuts):
        for how in LEFT if number % every == 0 or notes[-1].what == "rename" or disk is cuts[-1][0] else ():
            files = disk.left(how)
            folders[repr(sorted((str(p), hash(c)) for p, c in files.items()))] = (f"{how}, {number}", files, notes)
    broken = {}
    for number, (label, files, notes) in enumerate(folders.values()):
        cut = Place(tmp_path / str(number))
        if wrong := losses(cut, files, notes, words(cut), reference):
            broken[label] = [str(notes[-1]), *map(cut.shown, wrong)]
    tally = {"run": name, "cuts": len(cuts), "every": every, "folders": len(folders), "broken": broken}
    if results := request.config.getoption("--results"):
        text = json.dumps(tally | {"seconds": round(time.monotonic() - begin)}, indent=1) + "\n"
        (Path(results) / "faults" / "cuts" / f"{name.replace(' ', '-')}.json").write_text(text, encoding="utf-8")
    assert broken == {}
