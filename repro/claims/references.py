"""Tables of raw runs that a measurement is compared with: intervals, percentiles, joint distance."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from repro.errors import CatalogueError
from repro.spec import RunSpec
from repro.stats import f_tail, t_quantile

REMEDY = "Correct the file; nothing was judged."
Run = Mapping[str, float]


class ReferenceTable(BaseModel):
    """Where a table of raw runs lies and what its columns are; rows within `same_run` in all figures are one run.

    `apart` names a describing column that is also a run's setting: a run is compared with rows of its own value only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: str
    about: str
    figures: Annotated[tuple[str, ...], Field(min_length=1)]
    described_by: tuple[str, ...] = ()
    same_run: Annotated[float, Field(ge=0)] | None = None
    apart: str | None = None


@dataclass(frozen=True)
class Figure:
    """One figure over the runs that state it."""

    name: str
    values: tuple[float, ...]

    @cached_property
    def mean(self) -> float:
        """The mean."""
        return fmean(self.values)

    @cached_property
    def sd(self) -> float:
        """The standard deviation of one run."""
        return stdev(self.values)

    @property
    def n(self) -> int:
        """The number of runs that state it."""
        return len(self.values)

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
        equal = sum(v == value for v in self.values)
        return 100 * (below + equal / 2) / self.n


@dataclass(frozen=True, kw_only=True)
class Joint:
    """How far several figures together lie from the runs: Mahalanobis distance, and how often a run is farther."""

    figures: tuple[str, ...]
    distance: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Population:
    """Distinct runs of one recipe: the figures that each states, and the words that describe it; `rows` were read."""

    about: str
    figures: tuple[str, ...]
    runs: tuple[Run, ...]
    descriptions: tuple[Mapping[str, str], ...] = ()
    rows: int = 0
    apart: str | None = None

    def figure(self, name: str) -> Figure:
        """Return one figure over the runs; KeyError where there is none of that name."""
        return self._figures[name]

    def like(self, setup: RunSpec) -> Population:
        """Return the runs that are to be compared with a run of this setup: all, or those of its value of `apart`."""
        if self.apart is None:
            return self
        value = str(getattr(setup, self.apart))
        chosen = [i for i, words in enumerate(self.descriptions) if words[str(self.apart)] == value]
        return replace(
            self,
            about=f"{value} {self.about}",
            runs=tuple(self.runs[i] for i in chosen),
            descriptions=tuple(self.descriptions[i] for i in chosen),
        )

    @cached_property
    def _figures(self) -> dict[str, Figure]:
        return {name: Figure(name, tuple(run[name] for run in self.runs if name in run)) for name in self.figures}

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
        squared = float(away @ np.linalg.solve(np.cov(table, rowvar=False), away))
        p_value = f_tail(n * (n - p) / ((n + 1) * p * (n - 1)) * squared, p, n - p)
        return Joint(figures=names, distance=sqrt(squared), p_value=p_value)


def pooled(populations: Sequence[Population]) -> Population:
    """Return several tables of one recipe's runs as one population."""
    first = populations[0]
    return Population(
        about=first.about,
        figures=first.figures,
        runs=tuple(run for population in populations for run in population.runs),
        descriptions=tuple(words for population in populations for words in population.descriptions),
        rows=sum(population.rows for population in populations),
    )


def read_population(path: Path, table: ReferenceTable) -> Population:
    """Read and check a table; CatalogueError names the file, the row and the column."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: cannot be read: {error}", REMEDY) from None
    reader = csv.DictReader(lines, strict=True)
    try:
        columns, rows = list(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise CatalogueError(f"{path}: line {reader.line_num}: {error}", REMEDY) from None
    wanted = {*table.described_by, *table.figures}
    if wrong := sorted(wanted ^ set(columns)) or sorted({c for c in columns if columns.count(c) > 1}):
        problem = "is missing" if wrong[0] not in columns else "is not declared, or stands twice"
        raise CatalogueError(f"{path}: column {wrong[0]!r} {problem}", REMEDY)
    runs: list[Run] = []
    descriptions: list[Mapping[str, str]] = []
    for i, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise CatalogueError(f"{path}: row {i}: expected {len(columns)} cells", REMEDY)
        run = dict(_figures(row, table.figures, f"{path}: row {i}"))
        if not _is_copy(run, runs, table.same_run):
            runs.append(run)
            descriptions.append({name: row[name] for name in table.described_by})
    for name in table.figures:
        if sum(name in run for run in runs) < 2:  # noqa: PLR2004 (one run has no spread)
            raise CatalogueError(f"{path}: column {name!r} states fewer than two distinct runs", REMEDY)
    return Population(
        about=table.about,
        figures=table.figures,
        runs=tuple(runs),
        descriptions=tuple(descriptions),
        rows=len(rows),
        apart=table.apart,
    )


def _figures(row: Mapping[str, str], names: Iterable[str], place: str) -> Iterable[tuple[str, float]]:
    for name in names:
        if text := row[name].strip():  # a blank: that run does not state it
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise CatalogueError(f"{place}: column {name!r}: expected a finite number, got {text!r}", REMEDY)
            yield name, value


def _is_copy(run: Run, others: Sequence[Run], within: float | None) -> bool:
    if within is None:
        return False
    slack = within + 1e-9  # the rounding of the machine
    return any(run.keys() == other.keys() and all(abs(run[k] - other[k]) <= slack for k in run) for other in others)
