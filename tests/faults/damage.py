"""Bytes that flip and files that end too early, disks that are full and folders that turn read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from repro.assets.checkpoints import WEIGHTS, locate_checkpoint
from repro.assets.corpus import REHEARSAL, read_rows
from repro.assets.recipes import MINILM
from repro.errors import ReproError
from tests.faults.launch import Ended, Place
from tests.faults.planted import folder_passes_as
from tests.faults.trial import Case, Outcome, finished, judge, records_in, set_modes, struck

REFUSED = ReproError.exit_code
DISK_KIB = 16_384
LARGE = 600_000


def damage(file: Path, truncate: bool, case: Case) -> None:
    """Flip one bit of the file, or cut it off, at a random place."""
    draws, content = case.draws, bytearray(file.read_bytes())
    place = draws.randrange(len(content))
    content[place] ^= 1 << draws.randrange(8)
    file.write_bytes(content[:place] if truncate else content)


def in_the_state(case: Case, *, truncate: bool, copies: int) -> Outcome:
    shutil.copytree(case.undisturbed.unfinished.folder, case.place.folder)
    states = case.place.states()
    for older in states[:-copies]:
        older.unlink()
    damage(states[-1], truncate, case)
    return judge(case, [case.place.run()])


def in_a_record(case: Case, *, truncate: bool) -> Outcome:
    place = case.place
    shutil.copytree(case.undisturbed.place.folder, place.folder)
    (path,) = records_in(place)
    damage(path, truncate, case)
    refused = place.run("verify", "--results", str(place.results))
    shutil.rmtree(place.models)
    runs = [refused, place.run()]
    path.unlink()
    if not records_in(place):
        runs.append(place.run())
    outcome = judge(case, runs, line=refused.line)
    return outcome.refused(refused, refused.code == REFUSED and path.name in refused.err)


def in_the_corpus(case: Case, *, truncate: bool) -> Outcome:
    place, corpus = case.place, case.place.folder / "corpus"
    shutil.copytree(REHEARSAL, corpus)
    damaged = sorted(corpus.iterdir())[case.number % 3]
    whole = damaged.read_bytes()
    damage(damaged, truncate, case)
    plant = partial(folder_passes_as, read_rows("rehearsal")[0])
    first = place.run(corpus=str(corpus), plant=plant)
    if first.code != REFUSED:
        return judge(case, [first], line="")
    damaged.write_bytes(whole)
    written = [*records_in(place), *place.states()]
    outcome = judge(case, [first, place.run(corpus=str(corpus), plant=plant)], line=first.line)
    return outcome.unless(not written, f"refused, but wrote {written}")


def in_a_checkpoint(case: Case, *, truncate: bool) -> Outcome:
    place, checkpoint = case.place, case.place.folder / "checkpoints" / "all-MiniLM-L6-v2"
    shutil.copytree(locate_checkpoint(MINILM).folder, checkpoint)
    damage(checkpoint / WEIGHTS, truncate, case)
    options = ["--recipe", "minilm", "--corpus", "rehearsal", "--checkpoints", str(checkpoint.parent)]
    refused = place.run("run", "token-facts", *options, "--results", str(place.results))
    shutil.rmtree(checkpoint)
    return _refused_by_name(place, refused)


def in_a_saved_model(case: Case, *, truncate: bool) -> Outcome:
    place = case.place
    shutil.copytree(case.undisturbed.place.models, place.models)
    (weights,) = place.models.glob(f"*/{WEIGHTS}")
    damage(weights, truncate, case)
    return _refused_by_name(place, place.run("predict", "i feel fine today", "--model", str(weights.parent)))


def _refused_by_name(place: Place, ended: Ended) -> Outcome:
    right = ended.code == REFUSED and ended.answered and WEIGHTS in ended.err and not records_in(place)
    return Outcome(line=place.shown(ended.line)).refused(ended, right)


def on_a_full_disk(case: Case) -> Outcome:
    ballast, leave = case.place.results / "ballast", case.draws.randrange(LARGE)
    with small_disk(case.place.results) as mounted:
        if mounted:
            first = struck(case, lambda run: fill(ballast, leave=leave))
            ballast.unlink()
            return finished(case, first, line=first.err and first.line)
    return with_small_files(case)


def with_small_files(case: Case) -> Outcome:
    size = 2_000 + case.draws.randrange(LARGE)
    first = struck(case, lambda run: run.limit_files(size))
    return finished(case, first, line=first.err and first.line)


def in_a_read_only_folder(case: Case) -> Outcome:
    first = struck(case, lambda run: set_modes(case.place.results, 0o555), as_nobody=True)
    set_modes(case.place.results, 0o755)
    return finished(case, first, line=first.err and first.line, as_nobody=True)


def fill(ballast: Path, *, leave: int) -> None:
    room = os.statvfs(ballast.parent)
    rest = room.f_bavail * room.f_frsize - leave
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while rest > 0:
            rest -= file.write(b"\0" * min(rest, 1 << 16))


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a tmpfs there, or say that none can be: it takes root, on Linux, outside most containers."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = False
    with suppress(OSError):
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "faults", str(folder)]
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
