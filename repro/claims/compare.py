"""What was measured against what was reported, kind by kind; every seed is held against the tolerance by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from repro.claims.catalogue import Claim, Kind, Side
from repro.claims.cohorts import Cohort
from repro.claims.distribution import compare_distribution
from repro.claims.ordering import compare_ordering
from repro.claims.seeds import Finding, conclude
from repro.claims.wording import brief, is_number, number

SHOWN_PARTS = 4
FLOAT_SLACK = 1e-9  # 0.3525 - 0.352 is 0.0005 plus rounding of the machine's, not of ours


def compare(claim: Claim, cohort: Cohort, cohorts: Sequence[Cohort], measured: list[Any]) -> Finding:
    """Compare each seed's value with the claim and say why."""
    if claim.kind is Kind.ORDERING:
        return compare_ordering(claim, cohort, cohorts)
    if claim.kind is Kind.DISTRIBUTION:
        return compare_distribution(claim, measured)
    if claim.kind is Kind.OVERLAP:
        least = claim.margin
        shared = [len(set(claim.reported) & set(found)) for found in measured]
        sides: list[Side | None] = [None if n >= least else "low" for n in shared]
        return conclude({"shared": sides}, f"{number(fmean(shared))} shared, at least {number(least)} expected")
    by_part: dict[str, list[Side | None]] = {}
    wrong: list[str] = []
    for path, reported, tolerance in _parts(claim):
        values = [_descend(found, path) for found in measured]
        if is_number(reported[0] if claim.kind is Kind.RANGE else reported):
            for value in values:
                if value is not None and not is_number(value):  # None: that part was not measured
                    raise ValueError(f"expected a number like {brief(reported)}, found {brief(value)}")
        part = ", ".join("length" if step is len else str(step) for step in path)
        by_part[part] = [_SIDES[claim.kind](value, reported, tolerance) for value in values]
        if any(by_part[part]):
            wrong.append(_explain(claim.kind, part, values, reported, tolerance))
    if not wrong:
        return conclude(by_part, _within(claim))
    more = f" (and {len(wrong) - SHOWN_PARTS} more)" if len(wrong) > SHOWN_PARTS else ""
    partly = f"; {len(by_part) - len(wrong)} of {len(by_part)} parts hold" if len(by_part) > 1 else ""
    return conclude(by_part, "; ".join(wrong[:SHOWN_PARTS]) + more + partly)


def _parts(claim: Claim) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """Split the claim into the smallest parts that are compared: (path into the value, reported, tolerance).

    The step `len` stands for the number of elements, so that nothing missing and nothing extra passes.
    """
    # for a range and one-of the innermost list is what one part may be, not a list of parts
    leaf_is_list = claim.kind in {Kind.RANGE, Kind.ONE_OF}

    def walk(reported: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
        if isinstance(reported, dict):
            yield (*path, len), len(reported), 0
            for key, value in reported.items():
                yield from walk(value, (*path, key))
        elif isinstance(reported, list) and not leaf_is_list:
            yield (*path, len), len(reported), 0
            for i, value in enumerate(reported):
                yield from walk(value, (*path, i))
        else:
            tolerance = claim.tolerance
            yield path, reported, tolerance[path[0]] if isinstance(tolerance, dict) else tolerance

    for path, reported, tolerance in walk(claim.reported, ()):
        if path[-1:] != (len,) or claim.kind in {Kind.EXACT, Kind.VALUE}:
            yield path, reported, tolerance


def _descend(value: Any, path: tuple[Any, ...]) -> Any:
    """Return the value at the path, None where it has none."""
    for step in path:
        if step is len:
            value = len(value) if isinstance(value, list | dict) else None
        else:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
    return value


def _side_of_value(value: Any, reported: Any, tolerance: Any) -> Side | None:
    if is_number(reported) and is_number(value):
        if abs(value - reported) <= tolerance + FLOAT_SLACK:
            return None
        return "low" if value < reported else "high"
    return None if value == reported else "different"


def _side_of_exact(value: Any, reported: Any, _: Any) -> Side | None:
    if value == reported:
        return None
    return ("low" if value < reported else "high") if is_number(value) and is_number(reported) else "different"


def _side_of_range(value: Any, reported: Any, _: Any) -> Side | None:
    if not is_number(value):
        return "different"
    return "low" if value < reported[0] else "high" if value > reported[1] else None


def _side_of_one_of(value: Any, reported: Any, _: Any) -> Side | None:
    return None if value in reported else "different"


_SIDES: dict[Kind, Callable[[Any, Any, Any], Side | None]] = {
    Kind.VALUE: _side_of_value,
    Kind.EXACT: _side_of_exact,
    Kind.RANGE: _side_of_range,
    Kind.ONE_OF: _side_of_one_of,
}


def _explain(kind: Kind, part: str, values: list[Any], reported: Any, tolerance: Any) -> str:
    expected = brief(reported)
    if kind is Kind.VALUE and is_number(reported):
        expected = f"{brief(reported)} ± {number(tolerance)}"
    elif kind is Kind.RANGE:
        expected = " to ".join(map(brief, reported))
    elif kind is Kind.ONE_OF:
        expected = " or ".join(map(brief, reported))
    found = " / ".join("missing" if value is None else brief(value) for value in values)
    return f"{part}: {found}, expected {expected}" if part else f"{found}, expected {expected}"


def _within(claim: Claim) -> str:
    if claim.kind is Kind.VALUE:
        if isinstance(claim.tolerance, dict):
            return "within " + ", ".join(f"±{number(value)} ({part})" for part, value in claim.tolerance.items())
        return f"within ±{number(claim.margin)}"
    return {Kind.RANGE: "within the range", Kind.ONE_OF: "among those reported"}.get(claim.kind, "equal")
