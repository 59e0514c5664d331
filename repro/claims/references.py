"""Populations of runs: a figure over runs (mean, spread, intervals), tables of raw runs, joint distance and drift.

The first of a catalogue's references is the one that claims are judged by; those that corroborate are checked against
it, figure by figure and jointly, and for a drift over library versions and dates. Whoever published a run chose to do
so, and no card names its hardware.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, sqrt
from pathlib import Path
from re import findall
from statistics import fmean, stdev
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from repro.display import number
from repro.errors import UsageError
from repro.records.schema import Strict
from repro.spec import RunSpec
from repro.stats import f_tail, rank_correlation, t_quantile

REMEDY = "Correct the file; nothing was judged."
ODD = 0.001  # runs whose figures together are rarer are named
Run = Mapping[str, Any]  # what a row states: its figures as numbers, and the words that describe it
_FIGURES = TypeAdapter(dict[str, FiniteFloat])


class ReferenceTable(Strict):
    """Where a table of raw runs lies and what its columns are; rows within `same_run` in all figures are one run.

    `apart` names a describing column that is also a run's setting: a run is compared with rows of its own value only.
    """

    file: str
    about: str
    figures: Annotated[tuple[str, ...], Field(min_length=1)]
    described_by: tuple[str, ...] = ()
    same_run: Annotated[float, Field(ge=0)] | None = None
    apart: str | None = None


@dataclass(frozen=True)
class Figure:
    """One figure over the runs that state it: those of a reference, or the seeds of a claim; one run has no spread."""

    values: tuple[float, ...]

    @cached_property
    def mean(self) -> float:
        """The mean."""
        return fmean(self.values)

    @cached_property
    def sd(self) -> float:
        """The standard deviation between runs; 0 for one run, which shows none."""
        return stdev(self.values) if self.n > 1 else 0.0

    @property
    def n(self) -> int:
        """The number of runs that state it."""
        return len(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean; None for one run."""
        if self.n == 1:
            return None
        half = t_quantile(0.975, self.n - 1) * self.sd / sqrt(self.n)
        return self.mean - half, self.mean + half

    @property
    def spread(self) -> str:
        """Mean and standard deviation in words."""
        return f"{number(self.mean)} ± {number(self.sd)}"

    def __str__(self) -> str:
        if self.interval is None or not self.sd:
            return number(self.mean)
        return f"{self.spread} [{', '.join(map(number, self.interval))}]"

    def as_row(self) -> dict[str, Any]:
        """Return the figure as flat JSON."""
        interval = self.interval and list(self.interval)
        return {"n": self.n, "mean": self.mean, "sd": self.sd if interval else None, "interval": interval}

    def half_width(self, seeds: int = 1, confidence: float = 0.95) -> float:
        """Return half the prediction interval of the mean of `seeds` runs: t(n - 1) * SD * sqrt(1/seeds + 1/n)."""
        t = t_quantile(1 - (1 - confidence) / 2, self.n - 1)
        return t * self.sd * sqrt(1 / seeds + 1 / self.n)

    def prediction_interval(self, seeds: int = 1, confidence: float = 0.95) -> tuple[float, float]:
        """Return where the mean of `seeds` further runs lies, the uncertainty of this mean included."""
        half = self.half_width(seeds, confidence)
        return self.mean - half, self.mean + half

    def percentile(self, value: float) -> float:
        """Return the share of runs below the value, 0 to 100; of those equal to it, half count."""
        below = sum(v < value for v in self.values)
        return 100 * (below + self.values.count(value) / 2) / self.n


@dataclass(frozen=True, kw_only=True)
class Joint:
    """How far several figures together lie from the runs: Mahalanobis distance, and how often a run is farther."""

    figures: tuple[str, ...]
    distance: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Population:
    """Distinct runs of one recipe; `rows` were read."""

    about: str
    figures: tuple[str, ...]
    runs: tuple[Run, ...]
    rows: int
    apart: str | None = None

    @cached_property
    def _figures(self) -> dict[str, Figure]:
        return {name: Figure(tuple(run[name] for run in self.runs if name in run)) for name in self.figures}

    def figure(self, name: str) -> Figure:
        """Return one figure over the runs; KeyError where there is none of that name."""
        return self._figures[name]

    def like(self, setup: RunSpec) -> Population:
        """Return the runs that are to be compared with a run of this setup: all, or those of its value of `apart`."""
        if self.apart is None:
            return self
        value = str(getattr(setup, self.apart))
        runs = tuple(run for run in self.runs if run[self.apart] == value)
        return replace(self, about=f"{value} {self.about}", runs=runs)

    def joint_distance(self, given: Run, *, without: int | None = None) -> Joint | None:
        """Return the joint distance over the losses and F1 among the given figures, or None where fewer than two are.

        The p value is that of Hotelling's prediction: n (n - p) / ((n + 1) p (n - 1)) * distance**2 follows F(p, n - p)
        for one further run of a normal population. `without` leaves one run out of the population, so that it can be
        judged like a stranger. Accuracy says what F1 says (correlation 0.99) and would make the covariance singular.
        """
        names = tuple(name for name in self.figures if name in given and not name.startswith("accuracy"))
        if len(names) < 2:  # noqa: PLR2004 (one figure is no combination)
            return None
        import numpy as np

        others = [run for i, run in enumerate(self.runs) if i != without and all(name in run for name in names)]
        table = np.array([[run[name] for name in names] for run in others])
        n, p = table.shape
        away = np.array([given[name] for name in names]) - table.mean(axis=0)
        with np.errstate(all="ignore"):  # a figure near the largest float: farther out than can be said
            squared = float(away @ np.linalg.solve(np.cov(table, rowvar=False), away))
        if not squared < inf:
            return Joint(figures=names, distance=inf, p_value=0.0)
        p_value = f_tail(n * (n - p) / ((n + 1) * p * (n - 1)) * squared, p, n - p)
        return Joint(figures=names, distance=sqrt(squared), p_value=p_value)


def read_population(path: Path, table: ReferenceTable) -> Population:
    """Read and check a table; UsageError names the file, the row and the column."""

    def wrong(what: object) -> UsageError:
        return UsageError(f"{path}: {what}", REMEDY)

    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns, rows = list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise wrong(f"cannot be read: {error}") from None
    declared = [*table.described_by, *table.figures]
    for name in sorted({*declared, *columns}):
        if columns.count(name) != declared.count(name):
            raise wrong(f"column {name!r} {'stands twice or is not declared' if name in columns else 'is missing'}")
    runs: list[Run] = []
    for i, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise wrong(f"row {i}: expected {len(columns)} cells")
        try:  # a blank: that run does not state it
            figures = _FIGURES.validate_python({name: row[name] for name in table.figures if row[name].strip()})
        except ValidationError as error:
            first = error.errors()[0]
            where = f"row {i}: column {first['loc'][0]!r}"
            raise wrong(f"{where}: expected a finite number, got {first['input']!r}") from None
        run: Run = {**{name: row[name] for name in table.described_by}, **figures}
        if table.same_run is None or not any(_same(run, other, table.figures, table.same_run) for other in runs):
            runs.append(run)
    for name in table.figures:
        if sum(name in run for run in runs) < 2:  # noqa: PLR2004 (one run has no spread)
            raise wrong(f"column {name!r} states fewer than two distinct runs")
    return Population(about=table.about, figures=table.figures, runs=tuple(runs), rows=len(rows), apart=table.apart)


def _same(one: Run, other: Run, figures: tuple[str, ...], within: float) -> bool:
    slack = within + 1e-9  # the rounding of the machine
    stated = [name for name in figures if name in one or name in other]
    return all(name in one and name in other and abs(one[name] - other[name]) <= slack for name in stated)


def out_of_sample(first: Population, later: Population) -> tuple[int, int, dict[str, float]]:
    """Return how many later figures lie inside the first runs' 95 % intervals, of how many, and odd runs' joint p."""
    intervals = {name: first.figure(name).prediction_interval() for name in first.figures}
    stated = [(*intervals[name], run[name]) for run in later.runs for name in intervals if name in run]
    within = [low <= value <= high for low, high, value in stated]
    joint = [(run.get("run", ""), first.joint_distance(run)) for run in later.runs]
    odd = {name: distance.p_value for name, distance in joint if distance and distance.p_value < ODD}
    return sum(within), len(within), odd


def drifts(runs: Population) -> dict[tuple[str, str], tuple[float, float, int]]:
    """Return by (`transformers` or `month`, figure) Spearman's correlation, p and n, where enough runs state it."""
    drifts = {}
    for over in ("transformers", "month"):
        for name in runs.figures:
            pairs = [(ordered(run[over]), run[name]) for run in runs.runs if run.get(over) and name in run]
            if len({place for place, _ in pairs}) > 2:  # noqa: PLR2004 (two places have no order to speak of)
                drifts[over, name] = (*rank_correlation(*zip(*pairs, strict=True)), len(pairs))
    return drifts


def ordered(version: str) -> tuple[int, ...]:
    """Return a version or a month so that it can be ordered: `4.21.1` before `4.57.0`."""
    return tuple(map(int, findall(r"\d+", version)))


def version_span(runs: Population) -> str:
    """Return the first and the last transformers version among the runs: `4.11 to 4.57`."""
    stated = sorted(ordered(run["transformers"]) for run in runs.runs if run.get("transformers"))
    return " to ".join(".".join(map(str, version[:2])) for version in (stated[0], stated[-1]))
