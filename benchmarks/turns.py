"""A worker's side of a turn: `begin` waits for the word to go, `done` reports a round and waits for the next.

A benchmark calls `turn.done()` at the end of every round, in a loop that may be anybody's (the Trainer's callback,
ours, a plain `while`). Where a round is one step of a loop, `settle` takes steps before it that are not timed (the
first one after another process's turn is up to a third slower than those that follow), and `repeat` makes a round of
several steps where one is too short to be timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from repro.records.provenance import peak_mib


class Ended(Exception):  # noqa: N818 (no error: it leaves somebody else's loop)
    """The driver wants no further round of this benchmark."""


class Turn:
    """Rounds of one benchmark: `receive` returns the driver's next request, `send` answers it."""

    def __init__(
        self,
        receive: Callable[[], Mapping[str, Any]],
        send: Callable[[Mapping[str, Any]], None],
        *,
        settle: int = 0,
        repeat: int = 1,
    ) -> None:
        self._receive, self._send = receive, send
        self._settle, self._repeat = settle, repeat
        self._untimed, self._steps = settle, 0
        self._facts: dict[str, float] = {}
        self._started = 0.0

    def begin(self) -> None:
        """Wait for the word to go; Ended where it does not come."""
        if not self._receive().get("round"):
            raise Ended
        self._untimed, self._steps, self._facts = self._settle, 0, {}
        self._started = time.perf_counter()

    @property
    def at_reading(self) -> bool:
        """Whether the clock is read when the step under way is done: at both ends of a round."""
        return self._untimed == 1 or (not self._untimed and self._steps == self._repeat - 1)

    def done(self, **facts: float) -> None:
        """End a step: one to settle is dropped, the last of a round is reported, its facts added up over the steps."""
        now = time.perf_counter()
        if self._untimed:
            self._untimed -= 1
            self._started = time.perf_counter()
            return
        self._facts = {name: self._facts.get(name, 0) + value for name, value in facts.items()}
        self._steps += 1
        if self._steps == self._repeat:
            self._send({"seconds": now - self._started, "facts": self._facts, "peak_mib": peak_mib()})
            self.begin()


def forget_peak() -> None:
    """Let the peak of this process's memory be counted anew from here, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
