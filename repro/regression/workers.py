"""Processes that take turns: each times one round when it is asked to, so that a drift of the machine hits all alike.

A worker is `python -m benchmarks.worker` in a checkout: JSON lines over its standard input and output, answered one by
one. It says first which benchmarks it has; `{"start": NAME}` chooses one, or a function of a module with options;
`{"round": true}` times a round of it, and `{"stop": true}` ends it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import NotComparableError

WARM_UP = 1  # rounds of each benchmark and launch that are dropped: what is prepared belongs to the first


@dataclass(frozen=True, kw_only=True)
class Round:
    """Seconds of one round, what the benchmark says of it, and the most memory of its process so far, in MiB."""

    seconds: float
    facts: Mapping[str, float]
    peak_mib: float


class Worker:
    """One process, named for error messages, in the folder of a checkout with the interpreter of its environment.

    `threads` is how many it computes with; None leaves that to its libraries.
    """

    def __init__(self, name: str, folder: Path, python: str, *, threads: int | None = None) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        self._process: Any = subprocess.Popen(
            [python, "-m", "benchmarks.worker"], cwd=folder, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def benchmarks(self) -> list[str]:
        """Wait until the process has started and return the names of its benchmarks."""
        return [str(name) for name in self.answer()["benchmarks"]]

    def round(self) -> Round:
        """Time one round of the benchmark that was started."""
        self.send(round=True)
        return Round(**self.answer())

    def send(self, **request: Any) -> None:
        """Send a request; `answer` says if the process is gone."""
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer; NotComparableError where the process is gone."""
        if line := self._process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines() or ["nothing on standard error"]
        why = "killed, as a system short of memory does" if code == -9 else said[-1]  # noqa: PLR2004 (SIGKILL)
        raise NotComparableError(
            f"{self.name} ended early, exit code {code}: {why}", "Run its benchmark alone to see more."
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


def interleave(
    workers: Mapping[str, Worker],
    work: Mapping[str, Any],
    rounds: int,
    *,
    order: random.Random,
    warm_up: int = WARM_UP,
) -> dict[str, list[Round]]:
    """Let each worker start its `work`, time it round by round, in a new random order each time, and end it."""
    timed: dict[str, list[Round]] = {name: [] for name in workers}
    for name, worker in workers.items():
        worker.send(start=work[name])  # they load their libraries side by side
    for worker in workers.values():
        worker.answer()
    for _ in range(warm_up + rounds):
        for name in order.sample(list(workers), len(workers)):
            timed[name].append(workers[name].round())
    for worker in workers.values():
        worker.send(stop=True)
        worker.answer()
    return {name: all_rounds[warm_up:] for name, all_rounds in timed.items()}
