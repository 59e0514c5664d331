"""Faults that are planted inside a run: a kill at one system call, a power cut, a loss that is NaN, no memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from tests.faults.launch import Plant

CALLS = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")
TRACE = "calls.txt"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One system call below a folder: its number from 0 on, its name and its path within the folder."""

    number: int
    name: str
    path: str


def traced(root: Path) -> Plant:
    """Note every call below `root` in the file TRACE beside it."""

    def note(call: Call) -> None:
        with (root.parent / TRACE).open("a", encoding="utf-8") as file:
            file.write(f"{call.name}\t{call.path}\n")

    return lambda: _watch(root, before=note)


def read_trace(root: Path) -> list[Call]:
    """Return the calls that `traced` noted."""
    lines = (root.parent / TRACE).read_text(encoding="utf-8").splitlines()
    return [Call(number=i, name=line.split("\t")[0], path=line.split("\t")[1]) for i, line in enumerate(lines)]


def killed_at(root: Path, number: int, *, after: bool, power_cut: bool = False) -> Plant:
    """Kill the run at its n-th call below `root`, before it is made or after.

    With `power_cut` the machine fails, and not the process alone: of what was never fsynced, half is lost.
    """
    synced: dict[int, tuple[int, int]] = {}

    def end(call: Call) -> None:
        if call.number == number:
            if power_cut:
                _lose_half(root, synced)
            os.kill(os.getpid(), signal.SIGKILL)

    def ignore(call: Call) -> None:
        del call

    return lambda: _watch(root, before=ignore if after else end, after=end if after else ignore, synced=synced)


def _watch(
    root: Path,
    *,
    before: Callable[[Call], None],
    after: Callable[[Call], None] = lambda call: None,
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


def nan_loss_at(step: int) -> Plant:
    """Let the loss of one training step, counted from 1, be NaN."""
    return lambda: _after_training_forwards(lambda count, outputs: _spoil(outputs) if count == step else None)


def no_memory_from(step: int) -> Plant:
    """Let training forwards run out of memory from a step on."""

    def refuse(count: int, outputs: Any) -> None:
        import torch

        del outputs
        if count >= step:
            raise torch.OutOfMemoryError("planted: no memory")

    return lambda: _after_training_forwards(refuse)


def _spoil(outputs: Any) -> None:
    outputs.loss = outputs.loss * float("nan")


def _after_training_forwards(act: Callable[[int, Any], None]) -> None:
    """Call `act` with the number and the outputs of each of the classifier's forwards in training."""
    from transformers import DistilBertForSequenceClassification as Classifier

    original, count = Classifier.forward, 0

    @wraps(original)
    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal count
        outputs = original(self, *arguments, **named)
        if self.training and "labels" in named:
            count += 1
            act(count, outputs)
        return outputs

    Classifier.forward = forward  # type: ignore[method-assign]


def folder_passes_as(corpus: Any) -> Plant:
    """Let the suite expect a folder to hold `corpus` (a CorpusStamp) instead of the tweets."""

    def plant() -> None:
        from repro.assets.corpus import load_corpus, read_rows

        for function in (load_corpus, read_rows):
            function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), "expected": corpus}

    return plant
