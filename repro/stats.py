"""The statistics of the package: tails of t and F, t quantiles, McNemar, ranks. Begin here; it imports nothing of ours.

In closed form, since `verify` and `diagnose` run without scipy; the tests compare every function with scipy's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache
from math import comb, erfc, exp, lgamma, log, sqrt
from statistics import correlation
from typing import Any

PRECISE = 1e-15
FEW = 25  # fewer rows than this on which two classifiers disagree: the exact test, as is usual


def t_tail(t: float, degrees: float) -> float:
    """Return P(T > t) for Student's t."""
    if t * t < degrees:  # near the middle its complement has no cancellation
        beyond = 0.5 - _beta_share(t * t / (degrees + t * t), 0.5, degrees / 2) / 2
    else:
        beyond = _beta_share(degrees / (degrees + t * t), degrees / 2, 0.5) / 2
    return beyond if t > 0 else 1 - beyond


def f_tail(ratio: float, degrees: float, others: float) -> float:
    """Return P(F > ratio) for F with `degrees` in the numerator and `others` in the denominator."""
    return _beta_share(others / (others + degrees * ratio), others / 2, degrees / 2)


@cache
def t_quantile(probability: float, degrees: float) -> float:
    """Return the t that a share `probability` (0.5 to 1) of the distribution lies below, by bisection."""
    if not 0.5 <= probability < 1 or degrees < 1:  # noqa: PLR2004
        raise ValueError(f"expected 0.5 <= p < 1 and a degree of freedom, got {probability} and {degrees}")
    high = 1.0
    while t_tail(high, degrees) > 1 - probability:
        high *= 2
    low, step = 0.0, high
    for _ in range(50):
        step /= 2
        low += step * (t_tail(low + step, degrees) > 1 - probability)
    return low + step / 2


def two_sided_binomial(successes: int, n: int) -> float:
    """Return the exact p value of `successes` out of n against one half."""
    fewer = min(successes, n - successes)
    return min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / float(2**n))


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Return McNemar's two-sided p of the rows on which one alone is right.

    It is exact below 25 such rows, else chi-square with continuity correction.
    """
    discordant = first_alone + second_alone
    if discordant < FEW:
        return two_sided_binomial(first_alone, discordant)
    return erfc(max(abs(first_alone - second_alone) - 1, 0) / sqrt(2 * discordant))


def rank_correlation(first: Sequence[Any], second: Sequence[Any]) -> tuple[float, float]:
    """Return Spearman's correlation of two series of equal length, and its two-sided p by t on n - 2 degrees."""
    rho = correlation(ranks(first), ranks(second))
    if abs(rho) >= 1:
        return rho, 0.0
    return rho, 2 * t_tail(abs(rho) * sqrt((len(first) - 2) / (1 - rho * rho)), len(first) - 2)


def ranks(values: Sequence[Any]) -> list[float]:
    """Return each value's rank from 1; equal values share their mean rank."""
    ordered = sorted(values)
    return [(bisect_left(ordered, value) + bisect_right(ordered, value) + 1) / 2 for value in values]


def _beta_share(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b) by its continued fraction (Lentz's method)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # there the fraction of the complement converges
        return 1 - _beta_share(1 - x, b, a)
    front = exp(a * log(x) + b * log(1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)) / a
    d = 1 / (1 - (a + b) * x / (a + 1))
    c, total = 1.0, d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d), 1 + term / c
            total *= d * c
        if abs(d * c - 1) < PRECISE:
            break
    return front * total
