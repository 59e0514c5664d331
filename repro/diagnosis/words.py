"""What figures, hyper-parameters and their numbers look like in strangers' files: `words.toml`, read."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from math import inf
from typing import Any

from repro.errors import UsageError


@cache
def load(name: str) -> dict[str, Any]:
    """Return what `mistakes.toml` or `words.toml` holds."""
    return tomllib.loads(files("repro.diagnosis").joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def refused(why: str, **about: Any) -> UsageError:
    """Return the error that `words.toml` holds for this reason."""
    what, remedy = load("words")["refused"][why]
    return UsageError(what.format(**about), remedy.format(**about))


@cache
def pattern(name: str) -> re.Pattern[str]:
    """Return the regular expression that `words.toml` holds under a name."""
    return re.compile(load("words")["patterns"][name])


def kind_of(word: str, table: str = "columns") -> str | None:
    """Return the kind of figure or hyper-parameter that a word names, None where it is not known."""
    plain = " ".join(re.split(r"[\s_-]+", word.strip().lower()[:60]))
    return _kinds(table).get(plain) or _kinds(table).get(plain.removeprefix("eval "))


@cache
def _kinds(table: str) -> dict[str, str]:
    return {word: kind for kind, known in load("words")[table].items() for word in known}


def number(value: Any) -> float | None:
    """Return a number, also from text: `0.9226`, `92,26 %`; infinity beyond floats; None for anything else."""
    if isinstance(value, dict) and len(value) == 1:  # the evaluate library's {"f1": 0.92}
        value = next(iter(value.values()))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if isinstance(value, float) or abs(value) < 1e300 else inf  # noqa: PLR2004
    if isinstance(value, str) and (match := pattern("number").fullmatch(value.strip()[:80])):
        amount = float(match[1].replace(",", "."))
        return amount / 100 if match[2] else amount
    return None


def count(value: Any) -> int | None:
    """Return a whole number, also from `16,000`; None for anything else."""
    text = pattern("thousands").sub("", value.strip()[:40]) if isinstance(value, str) else value
    whole = number(text)
    return int(whole) if whole is not None and abs(whole) < 1e12 and whole.is_integer() else None  # noqa: PLR2004
