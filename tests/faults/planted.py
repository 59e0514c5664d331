"""Faults that are planted inside a run: a kill at one system call, a power cut, a loss that is no number, no memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

CALLS = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")
TRACE = "calls.txt"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One system call below a folder: its number from 0 on, its name and its path within the folder."""

    number: int
    name: str
    path: str


def traced(root: Path) -> Callable[[], None]:
    """Return a plant that notes every call below `root` in the file TRACE beside it."""

    def note(call: Call) -> None:
        with (root.parent / TRACE).open("a", encoding="utf-8") as file:
            file.write(f"{call.name}\t{call.path}\n")

    return lambda: _watch(root, before=note)


def read_trace(root: Path) -> list[Call]:
    """Return the calls that `traced` noted."""
    lines = (root.parent / TRACE).read_text(encoding="utf-8").splitlines()
    return [Call(number=i, name=line.split("\t")[0], path=line.split("\t")[1]) for i, line in enumerate(lines)]


def killed_at(root: Path, number: int, *, after: bool, power_cut: bool = False) -> Callable[[], None]:
    """Return a plant that kills the run at its n-th call below `root`, before it is made or after.

    With `power_cut` the machine fails, and not the process alone: of what was never fsynced, half is lost.
    """
    synced: dict[int, tuple[int, int]] = {}

    def end(call: Call) -> None:
        if call.number == number:
            if power_cut:
                _lose_half(root, synced)
            os.kill(os.getpid(), signal.SIGKILL)

    def plant() -> None:
        _watch(root, before=(lambda call: None) if after else end, after=end if after else None, synced=synced)

    return plant


def _watch(
    root: Path,
    *,
    before: Callable[[Call], None],
    after: Callable[[Call], None] | None = None,
    synced: dict[int, tuple[int, int]] | None = None,
) -> None:
    """Wrap the calls of `os` by which files become durable, named or gone."""
    count = 0

    def wrap(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def called(target: Any, *arguments: Any, **named: Any) -> Any:
            nonlocal count
            path = _path_of(target, named)
            if not path.is_relative_to(root):
                return original(target, *arguments, **named)
            call = Call(number=count, name=name, path=str(path.relative_to(root)))
            count += 1
            before(call)
            try:
                return original(target, *arguments, **named)
            finally:  # also of a call that fails
                if name == "fsync" and synced is not None:
                    stat = os.fstat(target if isinstance(target, int) else target.fileno())
                    synced[stat.st_ino] = (stat.st_size, stat.st_mtime_ns)
                if after is not None:
                    after(call)

        return called

    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))


def _path_of(target: Any, named: dict[str, Any]) -> Path:
    if isinstance(target, int) or hasattr(target, "fileno"):
        descriptor = target if isinstance(target, int) else target.fileno()
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    folder = named.get("dir_fd")
    base = Path.cwd() if folder is None else Path(f"/proc/self/fd/{folder}").readlink()
    return base / os.fsdecode(target)


def _lose_half(root: Path, synced: dict[int, tuple[int, int]]) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            stat = path.stat()
            if synced.get(stat.st_ino) != (stat.st_size, stat.st_mtime_ns):
                os.truncate(path, stat.st_size // 2)


def no_number_at(step: int) -> Callable[[], None]:
    """Return a plant by which the loss of one training step, counted from 1, is not a number."""

    def spoil(count: int, found: Any) -> None:
        if count == step:
            found.loss = found.loss * float("nan")

    return lambda: _wrap_forward(after=spoil)


def no_memory(*, above: int, from_step: int = 1) -> Callable[[], None]:
    """Return a plant by which a forward of more than `above` rows runs out of memory, from a training forward on."""

    def refuse(count: int, rows: int) -> None:
        import torch

        if count >= from_step and rows > above:
            raise torch.OutOfMemoryError(f"planted: no memory for {rows} rows")

    return lambda: _wrap_forward(before=refuse)


def _wrap_forward(
    *, before: Callable[[int, int], None] | None = None, after: Callable[[int, Any], None] | None = None
) -> None:
    """Wrap the classifier's forward in training, which alone is given labels."""
    from transformers import DistilBertForSequenceClassification as Classifier

    original, count = Classifier.forward, 0

    @wraps(original)
    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal count
        labels = named.get("labels")
        if labels is None or not self.training:
            return original(self, *arguments, **named)
        count += 1
        if before is not None:
            before(count, len(labels))
        found = original(self, *arguments, **named)
        if after is not None:
            after(count, found)
        return found

    Classifier.forward = forward  # type: ignore[method-assign]


def folder_passes_as(corpus: Any) -> Callable[[], None]:
    """Return a plant by which the suite expects a folder to hold `corpus` (a CorpusStamp) instead of the tweets."""

    def plant() -> None:
        from repro.assets.corpus import load_corpus, read_rows

        for function in (load_corpus, read_rows):
            function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), "expected": corpus}

    return plant
