"""Disks that are full and folders that turn read-only, at random moments of a run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.launch import Ended
from tests.faults.session import Fault, Session
from tests.faults.trial import Case, Outcome, finished, set_modes, struck

DISK_KIB = 16_384
LARGE = 600_000


def on_a_full_disk(case: Case) -> Outcome:
    """Fill the disk under a run, make room, and start it again; where no disk can be mounted, forbid large files."""
    if not can_mount(case.place.folder):
        return with_small_files(case)
    draws = case.draws
    with small_disk(case.place.results):
        ballast, leave = case.place.results / "ballast", draws.randrange(LARGE)
        first = struck(case, draws, lambda run: fill(ballast, leave=leave))
        ballast.unlink()
        return finished(case, [first], line=warning_of(first))


def with_small_files(case: Case) -> Outcome:
    """Forbid large files to a run, then start it again without the limit."""
    draws = case.draws
    size = 2_000 + draws.randrange(LARGE)
    first = struck(case, draws, lambda run: run.limit_files(size))
    return finished(case, [first], line=warning_of(first))


def in_a_read_only_folder(case: Case) -> Outcome:
    """Take the right to write away from every folder of the results, then give it back and start again."""
    first = struck(case, case.draws, lambda run: set_modes(case.place.results, 0o555), as_nobody=True)
    set_modes(case.place.results, 0o755)
    return finished(case, [first], line=warning_of(first), as_nobody=True)


FAULTS = [
    Fault(fault=fault, how=how, trial=trial, times=14)
    for fault, how, trial in (
        (
            "disk full",
            f"a tmpfs of {DISK_KIB // 1024} MiB, filled at a random moment but for 0 to 600 kB; where none may be "
            "mounted, no file beyond a random size",
            on_a_full_disk,
        ),
        ("file-size limit", "no file beyond a random size (RLIMIT_FSIZE), from a random moment on", with_small_files),
        (
            "read-only folder",
            "every folder of the results, at a random moment, without root's rights",
            in_a_read_only_folder,
        ),
    )
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_run_that_cannot_write_loses_nothing_and_is_finished_later(fault: Fault, session: Session) -> None:
    session.inject(fault)


def warning_of(first: Ended) -> str:
    """Return what the disturbed run said of the disk."""
    return first.line if first.err else ""


def fill(ballast: Path, *, leave: int) -> None:
    """Write until the disk has no more than `leave` bytes."""
    room = os.statvfs(ballast.parent)
    rest = room.f_bavail * room.f_frsize - leave
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while rest > 0:
            rest -= file.write(b"\0" * min(rest, 1 << 16))


def can_mount(folder: Path) -> bool:
    """Return whether a tmpfs can be mounted here: by root, on Linux, outside most containers."""
    with suppress(OSError, subprocess.CalledProcessError), small_disk(folder / "probe"):
        return True
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
