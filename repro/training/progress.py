"""Progress for people: one bar with rate, loss and time left; nothing under CI or where no terminal is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from torch import Tensor

Advance = Callable[[int, "Tensor | None"], None]
REDRAW_SECONDS = 1.0


def is_watched() -> bool:
    """Tell whether a person watches: standard error is a terminal, not CI's, and this is the first process."""
    return Console(stderr=True).is_terminal and os.environ.get("RANK", "0") == "0" and not os.environ.get("CI")


def waiting(what: str) -> AbstractContextManager[object]:
    """Show that `what` is running, where no step of it can be counted."""
    return Console(stderr=True).status(what) if is_watched() else nullcontext()


@contextmanager
def bar(what: str, total: int) -> Iterator[Advance]:
    """Show a bar for `total` tweets; the function it gives takes those done and, if any, the loss (a scalar).

    It waits for the device where it is redrawn: once a second.
    """
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True, disable=not is_watched()) as bars:
        task = bars.add_task(what, total=total)
        start = redrawn = time.perf_counter()
        finished = 0

        def advance(done: int, loss: Tensor | None) -> None:
            nonlocal finished, redrawn
            finished += done
            now = time.perf_counter()
            if not bars.disable and (now - redrawn >= REDRAW_SECONDS or finished >= total):
                redrawn = now
                rate = f"{finished / (now - start):,.0f} tweets/s"
                shown = "" if loss is None else f", loss {loss.item():.3f}"
                bars.update(task, completed=finished, description=f"{what}: {rate}{shown}")

        yield advance
