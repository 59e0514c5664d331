"""The 98 independent reruns of the seminar's fine-tuning: intervals, percentiles, joint distance.

The table and its source stand in `reruns/`. Losses are in nats, scores are shares, all of the validation split.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import sqrt
from statistics import fmean, stdev

from repro.stats import t_quantile

FIGURES = (
    "train_loss_1", "valid_loss_1", "accuracy_1", "f1_1", "train_loss_2", "valid_loss_2", "accuracy_2", "f1_2",
)  # fmt: skip
# accuracy says what F1 says (correlation 0.99 and more) and would make the covariance all but singular
JOINT = tuple(name for name in FIGURES if not name.startswith("accuracy"))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure over the reruns that state it."""

    name: str
    values: tuple[float, ...]
    mean: float
    sd: float

    @property
    def n(self) -> int:
        """The number of reruns that state it."""
        return len(self.values)

    def half_width(self, seeds: int = 1, confidence: float = 0.95) -> float:
        """Return half the prediction interval of the mean of `seeds` runs: t(n - 1) * SD * sqrt(1/seeds + 1/n)."""
        t = t_quantile(1 - (1 - confidence) / 2, self.n - 1)
        return t * self.sd * sqrt(1 / seeds + 1 / self.n)

    def prediction_interval(self, seeds: int = 1, confidence: float = 0.95) -> tuple[float, float]:
        """Return where the mean of `seeds` further runs lies, the uncertainty of the reruns' own mean included."""
        half = self.half_width(seeds, confidence)
        return self.mean - half, self.mean + half

    def percentile(self, value: float) -> float:
        """Return the share of reruns below the value, 0 to 100; of those equal to it, half count."""
        below = sum(v < value for v in self.values)
        equal = sum(v == value for v in self.values)
        return 100 * (below + equal / 2) / self.n


@dataclass(frozen=True, kw_only=True)
class Joint:
    """How far several figures together lie from the reruns: Mahalanobis distance, and how often a rerun is farther."""

    figures: tuple[str, ...]
    distance: float
    p_value: float


@cache
def reruns() -> tuple[Mapping[str, float], ...]:
    """Read the table: one mapping a rerun, of the figures that its card states."""
    text = files("repro.catalogues").joinpath("seminar", "references", "community_runs.csv").read_text(encoding="utf-8")
    return tuple(
        {name: float(row[name]) for name in FIGURES if row[name].strip()} for row in csv.DictReader(text.splitlines())
    )


@cache
def reference(name: str) -> Figure:
    """Return one figure over the reruns; KeyError where there is none of that name."""
    if name not in FIGURES:
        raise KeyError(name)
    values = tuple(run[name] for run in reruns() if name in run)
    return Figure(name=name, values=values, mean=fmean(values), sd=stdev(values))


def joint_distance(given: Mapping[str, float], *, without: int | None = None) -> Joint | None:
    """Return the joint distance over the losses and F1 among the given figures, or None where fewer than two are.

    The p value is that of Hotelling's prediction: n (n - p) / ((n + 1) p (n - 1)) * distance**2 follows F(p, n - p)
    for one further run of a normal population. `without` leaves one rerun (a row of the table) out of the
    population, so that it can be judged like a stranger; that is how the calibration was tested on all 98.
    """
    names = tuple(name for name in JOINT if name in given)
    if len(names) < 2:  # noqa: PLR2004 (one figure is no combination)
        return None
    import numpy as np
    from scipy.special import fdtrc

    population = [run for i, run in enumerate(reruns()) if i != without and all(name in run for name in names)]
    table = np.array([[run[name] for name in names] for run in population])
    n, p = table.shape
    away = np.array([given[name] for name in names]) - table.mean(axis=0)
    squared = float(away @ np.linalg.solve(np.cov(table, rowvar=False), away))
    p_value = float(fdtrc(p, n - p, n * (n - p) / ((n + 1) * p * (n - 1)) * squared))
    return Joint(figures=names, distance=sqrt(squared), p_value=p_value)
