"""What is said of a comparison, and what of it fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from repro.errors import unknown

Section = Literal["quality", "speed", "claims"]


class Answer(StrEnum):
    """The answers; what could not be decided is never called a pass."""

    HOLDS = "holds"
    REGRESSION = "regression"
    MISSING = "missing"
    NOT_IN_BASELINE = "not in the baseline"
    UNDECIDED = "undecided"
    NEW = "new"
    NOT_JUDGED = "not judged"


FAILURES = frozenset({Answer.REGRESSION, Answer.MISSING, Answer.NOT_IN_BASELINE})


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One thing compared: its name and setup, both sides in words, the difference, and the answer with its reason.

    The difference of quality is candidate minus baseline; that of speed is candidate over baseline. `limit` is of the
    same kind, `interval` belongs to it.
    """

    section: Section
    name: str
    measure: str
    setup: str
    answer: Answer
    why: str
    baseline: str = ""
    candidate: str = ""
    difference: float | None = None
    interval: tuple[float, float] | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the user names: `only` is compared, `new` may be absent from the baseline; NAME or BEGINNING*."""

    only: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    def includes(self, name: str) -> bool:
        """Tell whether something of this name is to be compared."""
        return not self.only or matches(name, self.only)

    def absent(self, name: str, *, from_baseline: bool) -> Answer:
        """Return the answer for what one side lacks."""
        if not from_baseline:
            return Answer.MISSING
        return Answer.NEW if matches(name, self.new) else Answer.NOT_IN_BASELINE

    def check(self, known: Iterable[str]) -> None:
        """Refuse a pattern that matches nothing; UsageError names the nearest."""
        names = list(dict.fromkeys(known))
        for pattern in (*self.only, *self.new):
            if not any(matches(name, [pattern]) for name in names):
                raise unknown("name", pattern, names)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a pattern is the name, or its beginning where the pattern ends in `*`."""
    return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


def exit_code(comparisons: Sequence[Comparison], *, strict: bool = False) -> int:
    """Return 1 where something fails (strictly: or is undecided), 6 where nothing could be judged, else 0."""
    answers = {comparison.answer for comparison in comparisons}
    if answers & FAILURES or (strict and Answer.UNDECIDED in answers):
        return 1
    return 6 if answers <= {Answer.NOT_JUDGED, Answer.NEW} else 0
