"""SIGINT and SIGTERM while a run trains: the step in hand is finished, its state saved, then the run is left."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Leave(BaseException):
    """The run is to be left now; no handler of errors may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class StopRequest:
    """The signal that asked this process to stop, 0 for none; `immediate` while leaving at once would lose nothing.

    Of several processes that train together none may leave unless all do: theirs is never immediate.
    """

    def __init__(self, *, immediate: bool = True) -> None:
        self.number = 0
        self.immediate = immediate

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait within the block, which looks at `number` itself."""
        before, self.immediate = self.immediate, False
        try:
            yield
        finally:
            self.immediate = before
        if self.number and self.immediate:
            raise Leave(self.number)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to SIGINT and SIGTERM within the block, in the main thread; a second SIGINT ends the process at once.

        A second SIGTERM does not: a cluster may send it to every process, and a launcher once more to those it started.
        """
        before = {}
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            before = {number: old for number, old in handlers.items() if old not in (signal.SIG_IGN, None)}

        def note(number: int, frame: FrameType | None) -> None:
            del frame
            first, self.number = not self.number, self.number or number
            if signal.SIGINT in before:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            if first and self.immediate:
                raise Leave(number)

        try:
            for number in before:
                signal.signal(number, note)
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)
        if self.number:  # it came where this process could not leave, and the block has ended since
            raise Leave(self.number)
