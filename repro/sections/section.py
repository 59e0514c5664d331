"""What a section of the seminar is: how it runs, and what is shown of its record. One file each, beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.assets.corpus import Corpus
    from repro.display.figure import Drawing
    from repro.display.table import Table
    from repro.records.schema import Measurements, RunRecord
    from repro.sections.context import Context


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the seminar. `heading` is the part of the claims' list under which its figures stand.

    `run` measures it for one seed; that of a `resumable` section also takes the Checkpointer of its training. Another
    seed gives another result where it is `seeded`. Of several processes that share a batch all work on a section that
    is `together`, the main one alone on the others. `prepare` may give the context another checkpoint; `reads` names a
    file that decides the result besides corpus and checkpoint.

    What is shown: `printed` in the terminal after a run, `figures` of one record, `tables` of all records by file name
    (tables of one name from several sections become one). These must work where torch is not installed.
    """

    name: str
    heading: str
    what: str
    run: Callable[..., Measurements]
    seeded: bool = False
    together: bool = False
    resumable: bool = False
    prepare: Callable[[Context], Context] = lambda context: context
    reads: Callable[[Context, int], Path | None] = lambda context, seed: None
    printed: Callable[[RunRecord, Corpus], Iterable[str | Table]] = lambda record, corpus: ()
    figures: Callable[[RunRecord], Iterable[Drawing]] = lambda record: ()
    tables: Callable[[Sequence[RunRecord]], Mapping[str, Table]] = lambda records: {}

    def seeds(self, asked: Iterable[int]) -> list[int]:
        """Return the seeds that are worth a run: those asked for, or seed 0 where none makes a difference."""
        return list(asked) if self.seeded else [0]


def module_of(name: str) -> str:
    """Return the module that holds the section of that name."""
    return f"repro.sections.{name.replace('-', '_')}"
