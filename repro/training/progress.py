"""Progress for people: one bar with rate, loss and time left; nothing under CI or where no terminal is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from torch import Tensor

Advance = Callable[[int, "Tensor | None"], None]
REDRAW_SECONDS = 1.0


@dataclass
class Progress:
    """Draws bars on standard error; silent unless `enabled`."""

    enabled: bool = False

    @classmethod
    def for_terminal(cls) -> Progress:
        """Enabled where a person watches: a terminal that is not CI."""
        first_process = os.environ.get("RANK", "0") == "0"
        return cls(enabled=Console(stderr=True).is_terminal and first_process and not os.environ.get("CI"))

    @contextmanager
    def wait(self, what: str) -> Iterator[None]:
        """Show that `what` is running, where no step of it can be counted."""
        with Console(stderr=True).status(what) if self.enabled else nullcontext():
            yield

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar for `total` tweets; the function it gives takes those done and, if any, the loss (a scalar).

        It waits for the device where it is redrawn: once a second.
        """
        parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*parts, console=Console(stderr=True), transient=True, disable=not self.enabled) as bars:
            task = bars.add_task(what, total=total)
            start = redrawn = time.perf_counter()
            finished = 0

            def advance(done: int, loss: Tensor | None) -> None:
                nonlocal finished, redrawn
                finished += done
                now = time.perf_counter()
                if self.enabled and (now - redrawn >= REDRAW_SECONDS or finished >= total):
                    redrawn = now
                    rate = f"{finished / (now - start):,.0f} tweets/s"
                    shown = "" if loss is None else f", loss {loss.item():.3f}"
                    bars.update(task, completed=finished, description=f"{what}: {rate}{shown}")

            yield advance
