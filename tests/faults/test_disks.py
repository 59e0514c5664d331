"""Disks that are full and folders that turn read-only, at random moments of a run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.launch import Ended
from tests.faults.session import Session
from tests.faults.trial import Case, Outcome, finished, set_modes, struck

DISK_KIB = 16_384
LARGE = 600_000


def test_a_run_on_a_full_disk_loses_nothing_and_is_finished_once_there_is_room(session: Session) -> None:
    if can_mount(session.folder):
        how, trial = f"a tmpfs of {DISK_KIB // 1024} MiB, filled at a random moment but for 0 to 600 kB", on_a_full_disk
    else:
        how, trial = "no tmpfs may be mounted here: no file beyond a random size, from the start", with_small_files
    session.inject("disk full", how, trial, session.times(14))


def test_a_run_that_may_write_no_large_file_loses_nothing_and_is_finished_without_the_limit(session: Session) -> None:
    how = "no file beyond a random size (RLIMIT_FSIZE), from a random moment on"
    session.inject("file-size limit", how, with_small_files, session.times(14))


def test_a_run_whose_folder_turns_read_only_loses_nothing_and_is_finished_once_it_is_writable(session: Session) -> None:
    how = "every folder of the results, at a random moment" + (
        ", run without root's rights" if not os.geteuid() else ""
    )
    session.inject("read-only folder", how, in_a_read_only_folder, session.times(14))


def on_a_full_disk(case: Case) -> Outcome:
    """Fill the disk under a run, look what it says, make room, and start it again."""
    draws = case.draws
    with small_disk(case.place.results):
        ballast, leave = case.place.results / "ballast", draws.randrange(LARGE)
        first = struck(case, draws, lambda run: fill(ballast, leave=leave))
        ballast.unlink()
        return finished(case, [first], told=what_it_said(first))


def with_small_files(case: Case) -> Outcome:
    """Forbid large files to a run, then start it again without the limit."""
    draws = case.draws
    size = 2_000 + draws.randrange(LARGE)
    first = struck(case, draws, lambda run: run.limit_files(size))
    return finished(case, [first], told=what_it_said(first))


def in_a_read_only_folder(case: Case) -> Outcome:
    """Take the right to write away from every folder of the results, then give it back and start again."""
    first = struck(case, case.draws, lambda run: set_modes(case.place.results, 0o555), as_nobody=True)
    set_modes(case.place.results, 0o755)
    return finished(case, [first], told=what_it_said(first), as_nobody=True)


def what_it_said(first: Ended) -> str:
    """Return what the disturbed run said of the disk."""
    return first.told if first.err else ""


def fill(ballast: Path, *, leave: int) -> None:
    """Write until the disk has no more than `leave` bytes."""
    room = os.statvfs(ballast.parent)
    left = room.f_bavail * room.f_frsize - leave
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while left > 0:
            left -= file.write(b"\0" * min(left, 1 << 16))


def can_mount(folder: Path) -> bool:
    """Tell whether a tmpfs can be mounted here: by root, on Linux, outside most containers."""
    probe = folder / "probe"
    try:
        with small_disk(probe):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a small tmpfs at the folder."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "faults", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
