"""What is said of a comparison of two results folders, and what of it counts as a failure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from repro.regression.rounds import THRESHOLD

Section = Literal["quality", "speed", "claims"]
Side = Literal["baseline", "candidate"]
Way = tuple[tuple[str, str], ...]  # settings and their values


class Ruling(StrEnum):
    """The answers; what could not be told is never called a pass."""

    HOLDS = "holds"
    REGRESSION = "regression"
    MISSING = "missing"
    NOT_IN_BASELINE = "not in the baseline"
    NOT_COMPARABLE = "not comparable"
    UNDECIDED = "undecided"
    NOT_JUDGED = "not judged"
    NEW = "new"


FAILURES = frozenset({Ruling.REGRESSION, Ruling.MISSING, Ruling.NOT_IN_BASELINE})
OPEN = frozenset({Ruling.UNDECIDED, Ruling.NOT_JUDGED})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One comparison: what, of which runs (`basis`), both sides in words, the difference with its interval, and why.

    `names` are what --new and --only match, the first in full. A side is its mean (seeds), its median (rounds) or its
    verdict. The difference of quality is candidate minus baseline, with its 95 % interval; that of speed is candidate
    over baseline, with its 90 % interval; `limit` is of its kind.
    """

    section: Section
    names: tuple[str, ...]
    measure: str
    basis: str
    ruling: Ruling
    why: str
    baseline: str = ""
    candidate: str = ""
    difference: float | None = None
    interval: tuple[float, float] | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the user sets: names that count alone, names that are new (`name`, or `beginning*`), the speed threshold.

    `across` names the settings in which the two sides differ on purpose.
    """

    only: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    threshold: float = THRESHOLD
    across: frozenset[str] = frozenset()

    def counts(self, *names: str) -> bool:
        """Tell whether something of these names is to be compared."""
        return not self.only or matches(names, self.only)

    def on_absent(self, *names: str, lacking: Side) -> Ruling:
        """Rule on what one side lacks."""
        if lacking == "candidate":
            return Ruling.MISSING
        return Ruling.NEW if matches(names, self.new) else Ruling.NOT_IN_BASELINE


def matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    """Tell whether a pattern is one of the names, or the beginning of one where it ends in `*`."""
    return any(n == p or (p.endswith("*") and n.startswith(p[:-1])) for n in names for p in patterns)


def in_words(recipe: str, corpus: str, way: Way) -> str:
    """Return in words what was run: `minilm on emotion, seeded, bf16, packed, cpu`."""
    several = {"micro_batches": "{} micro-batches", "limit": "first {} rows"}
    words = (several.get(name, "{}").format(value) for name, value in way if (name, value) != ("micro_batches", "1"))
    return ", ".join((f"{recipe} on {corpus}", *words))


def why_absent(lacking: Side, held: Sequence[str]) -> str:
    """Say that a side lacks something, and as what else it holds it."""
    if not held:
        return f"the {lacking} has none"
    return f"the {lacking} has it as {' and '.join(held)} only; --baseline-where and --candidate-where compare across"


def exit_code(findings: Sequence[Finding], *, strict: bool) -> int:
    """Return 1 where something fails, else 2 where something, or everything, could not be compared, else 0.

    Strictly, what stays undecided or is not judged fails too.
    """
    rulings = {finding.ruling for finding in findings}
    if rulings & FAILURES or (strict and rulings & OPEN):
        return 1
    return 2 if Ruling.NOT_COMPARABLE in rulings or rulings <= {Ruling.NOT_JUDGED, Ruling.NEW} else 0
