"""Progress for people: one bar with rate, loss and time left; nothing under CI or where no terminal is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Advance = Callable[[int, "Tensor | None"], None]
REDRAW_SECONDS = 1.0


class Progress:
    """Draws bars on standard error; silent unless `enabled`."""

    def __init__(self, *, enabled: bool = False) -> None:
        self.enabled = enabled

    @classmethod
    def for_terminal(cls) -> Progress:
        """Enabled where a person watches: a terminal that is not CI."""
        from rich.console import Console

        first_process = os.environ.get("RANK", "0") == "0"
        return cls(enabled=Console(stderr=True).is_terminal and first_process and not os.environ.get("CI"))

    @contextmanager
    def wait(self, what: str) -> Iterator[None]:
        """Show that `what` is running, where no step of it can be counted."""
        if not self.enabled:
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(what):
            yield

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar for `total` tweets; the function it gives takes those done and, if any, the loss (a scalar).

        Nothing waits for the device: the loss that is shown was copied when the bar was last redrawn, a second before.
        """
        if not self.enabled:
            yield lambda done, loss: None
            return
        from rich import progress
        from rich.console import Console

        bars = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TextColumn("{task.fields[loss]}"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        with bars:
            task = bars.add_task(what, total=total, rate="", loss="")
            start = redrawn = time.perf_counter()
            finished, copied = 0, None

            def advance(done: int, loss: Tensor | None) -> None:
                nonlocal finished, redrawn, copied
                finished += done
                now = time.perf_counter()
                if now - redrawn >= REDRAW_SECONDS or finished >= total:
                    redrawn = now
                    rate = f"{finished / (now - start):,.0f} tweets/s"
                    shown = "" if copied is None else f"loss {copied.item():.3f}"
                    copied = None if loss is None else loss.to("cpu", non_blocking=True)
                    bars.update(task, completed=finished, rate=rate, loss=shown)

            yield advance
