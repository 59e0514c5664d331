"""Values in words, short enough for a table's cell and never rounded past the fourth decimal."""

from __future__ import annotations

from typing import Any

MOST_SHOWN = 14  # elements of a list; the longest that a claim reports has 13
SHA256_LENGTH = 64


def is_number(value: Any) -> bool:
    """Tell whether the value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float) -> str:
    """Return a number with four decimals, whole numbers without and from five digits on with commas."""
    if abs(value) >= 10_000:  # noqa: PLR2004
        return f"{value:,.0f}"
    if float(value).is_integer():
        return str(int(value))
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.2g}"  # noqa: PLR2004


def brief(value: Any) -> str:
    """Return any value in short: a long list tells its length, a table its shape, a hash its beginning."""
    if isinstance(value, dict):
        return ", ".join(f"{k} [{brief(v)}]" if isinstance(v, list) else f"{k} {brief(v)}" for k, v in value.items())
    if isinstance(value, list):
        if value and all(isinstance(row, list) for row in value):
            return f"{len(value)} × {len(value[0])} table"
        shown = [str(item) if isinstance(item, int) else brief(item) for item in value]
        return ", ".join(shown) if len(value) <= MOST_SHOWN else f"{len(value)} values"
    if is_number(value):
        return number(value)
    text = str(value)
    return text[:12] + "…" if len(text) == SHA256_LENGTH and text.isalnum() else text


def plural(n: int, what: str) -> str:
    """Return a count with its noun: `1 run`, `3 runs`."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def p_value(p: float) -> str:
    """Return a p value as it stands behind a `p`: `= 0.0312` or `< 0.0001`."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}"  # noqa: PLR2004
