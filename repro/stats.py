"""Student's t for whole degrees of freedom in closed form: `verify` answers before scipy would be imported."""

from __future__ import annotations

import math
from functools import cache


def t_tail(t: float, degrees: int) -> float:
    """Return P(T > t) for a whole number of degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, odd = math.cos(angle), degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    within = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return (1 - within) / 2


@cache
def t_quantile(probability: float, degrees: int) -> float:
    """Return the t that a share `probability` (0.5 to 1) of the distribution lies below, by bisection."""
    if not 0.5 <= probability < 1 or degrees < 1:  # noqa: PLR2004
        raise ValueError(f"expected 0.5 <= p < 1 and a degree of freedom, got {probability} and {degrees}")
    low, high = 0.0, 1.0
    while t_tail(high, degrees) > 1 - probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if t_tail(middle, degrees) > 1 - probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2
