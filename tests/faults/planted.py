"""Faults that are planted inside a run: a kill at one system call, a power cut, a loss that is NaN, no memory."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import DistilBertForSequenceClassification as Classifier

from repro.assets.corpus import load_corpus, read_rows
from tests.faults.launch import Plant

CALLS = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")
TRACE = "calls.txt"
Synced = dict[int, tuple[int, int]]  # size and time of each inode when it was last fsynced


class Call(NamedTuple):
    """One system call below a folder."""

    number: int  # from 0 on
    name: str
    path: str

    @property
    def writes_record(self) -> bool:
        return self.path.startswith("runs/") and "probe" not in self.path


def traced(root: Path) -> Plant:
    """Note every call below `root` in the file TRACE beside it."""

    def note(call: Call, after: bool, _: Synced) -> None:
        if not after:
            with (root.parent / TRACE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(call) + "\n")

    return lambda: _watch(root, note)


def read_trace(root: Path) -> list[Call]:
    return [Call(*json.loads(line)) for line in (root.parent / TRACE).read_text(encoding="utf-8").splitlines()]


def killed_at(root: Path, number: int, *, after: bool, power_cut: bool = False) -> Plant:
    """Kill the run at its n-th call below `root`, before it is made or after.

    With `power_cut` the machine fails, and not the process alone: of what was never fsynced, half is lost.
    """

    def end(call: Call, is_after: bool, synced: Synced) -> None:
        if call.number == number and is_after is after:
            if power_cut:
                _lose_half(root, synced)
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: _watch(root, end)


def _watch(root: Path, note: Callable[[Call, bool, Synced], None]) -> None:
    """Call `note` before and after each call of `os` by which files become durable, named or gone."""
    count, synced = 0, Synced()

    def wrap(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def called(target: Any, *arguments: Any, **named: Any) -> Any:
            nonlocal count
            path = path_of(target, named)
            if not path.is_relative_to(root):
                return original(target, *arguments, **named)
            call = Call(count, name, str(path.relative_to(root)))
            count += 1
            note(call, False, synced)
            try:
                return original(target, *arguments, **named)
            finally:  # also of a call that fails
                if name == "fsync":
                    stat = os.fstat(target)
                    synced[stat.st_ino] = (stat.st_size, stat.st_mtime_ns)
                note(call, True, synced)

        return called

    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))


def path_of(target: Any, named: dict[str, Any]) -> Path:
    if isinstance(target, int):
        return Path(f"/proc/self/fd/{target}").readlink()
    folder = named.get("dir_fd")
    return (Path.cwd() if folder is None else path_of(folder, {})) / os.fsdecode(target)


def _lose_half(root: Path, synced: Synced) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            stat = path.stat()
            if synced.get(stat.st_ino) != (stat.st_size, stat.st_mtime_ns):
                os.truncate(path, stat.st_size // 2)


def failing_from(step: int, *, memory: bool) -> Plant:
    """Let training forwards run out of memory from a step on, counted from 1, or the loss of that one step be NaN."""

    def plant() -> None:
        original, count = Classifier.forward, 0

        @wraps(original)
        def forward(self: Any, *arguments: Any, **named: Any) -> Any:
            nonlocal count
            outputs = original(self, *arguments, **named)
            if self.training and "labels" in named:
                count += 1
                if memory and count >= step:
                    raise torch.OutOfMemoryError("planted: no memory")
                if count == step:
                    outputs.loss = outputs.loss * float("nan")
            return outputs

        Classifier.forward = forward  # type: ignore[method-assign]

    return plant


def folder_passes_as(corpus: Any) -> None:
    """Let the suite expect a folder to hold `corpus` (a CorpusStamp) instead of the tweets."""
    for function in (load_corpus, read_rows):
        function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), "expected": corpus}
