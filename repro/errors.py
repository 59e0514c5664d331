"""What a user can do wrong or meet: each error says what happened, then how to fix it, and has an exit code.

And what no text that leaves the program may hold: secrets, private paths, what a terminal would obey.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

LEAST_SECRET = 6  # letters; a shorter value would be found in words
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|APIKEY|KEY|AUTH|(^|_)(PAT|PWD|PASS|PW)(_|$)")
_NO_SECRET = {"PWD", "OLDPWD"}  # folders
_LOGIN = re.compile(r"(?<=://)[^\s/@]*@(?:[^\s/@]*@)*")  # of an address: user, password
_PATH = re.compile(r"(?<![\w/\\:.~…])(?:[A-Za-z]:)?[\\/](?:[^\s\\/:;,'\"()<>|]+[\\/])+")  # up to its last part


@dataclass
class ReproError(Exception):
    """An answer of the suite and no fault of it: what is wrong, one line on how to fix it; the base of the others."""

    what: str
    remedy: str
    exit_code: ClassVar[int] = 2

    def __str__(self) -> str:
        return f"{self.what}\n{self.remedy}"


class UsageError(ReproError):
    """An unknown name, a value that an option cannot take, or a catalogue that says what it may not say."""


class CorpusError(ReproError):
    """A corpus that is missing, damaged, or not the one that was asked for."""


class CheckpointError(ReproError):
    """A checkpoint that is missing, unsafe, or not the pinned one."""


class HubError(ReproError):
    """A push that the Hub did not take; what was to be sent is untouched."""


class MissingAssetError(ReproError):
    """What one section alone needs and is not available here; the other sections of a run still run."""

    exit_code: ClassVar[int] = 5


class NotComparableError(ReproError):
    """Two things that were to be compared and differ in what must be equal."""

    exit_code: ClassVar[int] = 6


class DeviceError(ReproError):
    """A device or precision that was asked for and cannot be used here."""


class ResultsError(ReproError):
    """A results folder that cannot be read or written."""


class RecordError(ReproError):
    """A file among the results that is no valid record."""


class StateError(ReproError):
    """A saved training state that cannot be resumed from, or is in use; it stays as it is."""


class OutOfMemoryError(ReproError):
    """Memory of the host or the device ran out; --micro-batches splits a batch into smaller parts."""


class InterruptedRunError(ReproError):
    """SIGINT came while a run trained: its state is saved, the run can be resumed."""

    exit_code: ClassVar[int] = 130


class TerminatedRunError(InterruptedRunError):
    """The same for SIGTERM."""

    exit_code: ClassVar[int] = 143


class TrainingDivergedError(ReproError):
    """A loss that is not finite; it names the epoch and optimizer step, and nothing of the run is recorded."""

    exit_code: ClassVar[int] = 3


class ProcessLostError(ReproError):
    """One of several processes that train together is gone; the run ends and can be started again."""

    exit_code: ClassVar[int] = 4


def unknown(kind: str, name: str, known: list[str]) -> UsageError:
    """Say that `name` is no `kind`, with the nearest known name first."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return UsageError(f"unknown {kind} {name!r}", f"{hint}Known: {', '.join(known)}.")


def printable(text: str) -> str:
    """Return the text without what a terminal would obey: control characters become their escapes."""
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def without_secrets(text: str) -> str:
    """Return the text without the logins of addresses, and without each secret that the environment holds."""
    secrets = set()
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name.upper()) and name not in _NO_SECRET:
            secrets.add(value)
        for login in _LOGIN.findall(value):
            secrets |= {login.rstrip("@"), *login.rstrip("@").split(":")}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, "…")
    return _LOGIN.sub("…@", text)


def without_private_parts(text: str) -> str:
    """Return the text without secrets, and with each absolute path, also of a file:// address, cut to its last part."""
    text = re.sub(r"\bfile:/+", "/", without_secrets(text))
    # home, working and temporary folder go as wholes: their names may hold spaces, and their last part the user's
    known: dict[Path, str] = {}
    with suppress(OSError):  # the working folder may be deleted
        known[Path.cwd()] = "…"
    known |= {Path(tempfile.gettempdir()): "…", Path(os.path.expanduser("~")): "~"}  # noqa: PTH111 (Path.home() fails without a home)
    for folder in sorted(known, key=lambda path: -len(str(path))):
        if len(folder.parts) > 1:
            text = text.replace(str(folder), known[folder])
    return _PATH.sub("…/", text)
