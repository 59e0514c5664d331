"""A figure over seeds: mean, spread, interval and n, for tables, pages and the verdict's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from repro.claims.claim import Claim, Kind
from repro.claims.wording import brief, is_number, number
from repro.stats import t_quantile


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One figure over n seeds: mean, standard deviation, 95 % t interval of the mean; one seed has no spread.

    `reference` names the figure that it is compared with (`Catalogue.figure`), if any.
    """

    n: int
    mean: float
    sd: float | None = None
    interval: tuple[float, float] | None = None
    reference: str | None = None

    def as_row(self) -> dict[str, Any]:
        """Return the estimate as flat JSON."""
        return {**asdict(self), "interval": None if self.interval is None else list(self.interval)}

    def __str__(self) -> str:
        if self.interval is None or not self.sd:
            return number(self.mean)
        low, high = self.interval
        return f"{number(self.mean)} ± {number(self.sd)} [{number(low)}, {number(high)}]"


def estimate(values: Sequence[float], reference: str | None = None) -> Estimate:
    """Return mean, spread and 95 % t interval of one figure's values, one a seed."""
    n, mean = len(values), fmean(values)
    if n == 1:
        return Estimate(n=1, mean=mean, reference=reference)
    sd = stdev(values)
    half = t_quantile(0.975, n - 1) * sd / sqrt(n)
    return Estimate(n=n, mean=mean, sd=sd, interval=(mean - half, mean + half), reference=reference)


def estimates_of(claim: Claim, measured: Sequence[Any]) -> dict[str, Estimate]:
    """Return the claim's figures over seeds by part, `""` for a claim of one figure; none for words and tables."""
    if claim.kind is Kind.OVERLAP:
        return {"": estimate([len(set(claim.reported) & set(members)) for members in measured])}
    parts = claim.figures
    if all(is_number(value) for value in measured):
        return {"": estimate(measured, parts.get(""))}
    if all(isinstance(value, dict) for value in measured):
        columns = {key: [value.get(key) for value in measured] for key in measured[0]}
        return {key: estimate(values, parts.get(key)) for key, values in columns.items() if all(map(is_number, values))}
    return {}


def over_seeds(measured: Sequence[Any], estimates: Mapping[str, Estimate]) -> str:
    """Return several seeds' values in short: mean ± SD [interval] of numbers, words that differ side by side."""
    if "" in estimates:
        return str(estimates[""])
    if all(value == measured[0] for value in measured):
        return brief(measured[0])
    if all(isinstance(value, dict) for value in measured):
        return ", ".join(
            f"{key} {estimates[key] if key in estimates else over_seeds([v.get(key) for v in measured], {})}"
            for key in measured[0]
        )
    if all(isinstance(value, list) for value in measured):
        return brief(measured[0]) + ", first seed"
    return " / ".join(dict.fromkeys(brief(value) for value in measured))
