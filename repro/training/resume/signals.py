"""SIGINT and SIGTERM while a run trains: the step in hand is finished, its state saved, then the run is left."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Leave(BaseException):
    """The run is to be left now; nothing that handles errors may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interrupts:
    """The signal that has asked this process to stop, 0 for none; `at_once` while nothing would be lost by leaving."""

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = True

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let a signal wait within the block, which looks at `asked` itself."""
        before, self.at_once = self.at_once, False
        try:
            yield
        finally:
            self.at_once = before
        if self.asked and self.at_once:
            raise Leave(self.asked)


@contextmanager
def listening(*, alone: bool) -> Iterator[Interrupts]:
    """Listen to SIGINT and SIGTERM within the block; a second SIGINT ends the process at once.

    A second SIGTERM does not: a cluster may send it to every process, and a launcher once more to those it started.

    A process that is `alone` leaves as soon as nothing is lost by it; of several that train together none may leave
    but where all do. Only the main thread may listen.
    """
    found = Interrupts()
    found.at_once = alone
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        first, found.asked = not found.asked, found.asked or number
        if signal.SIGINT in before:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if first and found.at_once:
            raise Leave(number)

    if threading.current_thread() is threading.main_thread():
        known = {number: signal.getsignal(number) for number in SIGNALS}
        before = {number: handler for number, handler in known.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, note)
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if found.asked:  # it came where this process could not leave, and the block has ended since
        raise Leave(found.asked)
