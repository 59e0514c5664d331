"""Each kind of claim, judged: what every seed measured against what was reported, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from repro.claims.catalogue import Catalogue
from repro.claims.claim import POPULATION, Claim, Direction, Kind
from repro.claims.cohorts import Cohort, malformed
from repro.claims.distribution import judge_distribution, judge_placed
from repro.claims.seeds import Judgement, conclude, judge_ordering
from repro.claims.wording import brief, is_number, number

SHOWN_PARTS = 4
FLOAT_SLACK = 1e-9  # 0.3525 - 0.352 is 0.0005 plus rounding of the machine's, not of ours
Path = tuple[Any, ...]


def judge_kind(
    claim: Claim, catalogue: Catalogue, cohort: Cohort, cohorts: Sequence[Cohort], measured: Sequence[Any]
) -> Judgement:
    """Judge what the cohort measured, whose shape `check_shape` has passed."""
    match claim.kind:
        case Kind.ORDERING:
            return judge_ordering(claim, cohort, cohorts)
        case Kind.DISTRIBUTION:
            return judge_distribution(claim, catalogue, measured)
        case Kind.REFERENCE:
            return judge_placed(claim, catalogue, cohort.setup, measured)
        case Kind.OVERLAP:
            least, shared = claim.tolerance_of(""), shared_members(claim, measured)
            directions: list[Direction | None] = [None if n >= least else "low" for n in shared]
            return conclude(
                {"shared": directions}, f"{number(fmean(shared))} shared, at least {number(least)} expected"
            )
    return _judge_parts(claim, measured)


def shared_members(claim: Claim, measured: Sequence[Any]) -> list[int]:
    """Return how many members of the reported list each seed's list has."""
    return [len(set(claim.reported) & set(members)) for members in measured]


def check_shape(claim: Claim, measured: Sequence[Any]) -> None:
    """Raise RecordError where a value is of another shape than the claim reads: words for numbers, no list."""
    for value in measured:
        if claim.kind is Kind.OVERLAP:
            if not isinstance(value, list) or not all(isinstance(member, int | str) for member in value):
                raise malformed(claim.id, f"a list of numbers or words, got {brief(value)}")
        elif claim.kind in POPULATION:
            for part in value.values() if isinstance(value, dict) else [value]:
                if not is_number(part):
                    raise malformed(claim.id, f"a number, got {brief(part)}")
        elif claim.kind in _RULES:
            for path, reported, _ in _parts(claim):
                part = _descend(value, path)
                numeric = is_number(reported[0] if claim.kind is Kind.RANGE else reported)
                if numeric and part is not None and not is_number(part):  # None: that part was not measured
                    raise malformed(claim.id, f"a number like {brief(reported)}, got {brief(part)}")


def _judge_parts(claim: Claim, measured: Sequence[Any]) -> Judgement:
    rule = _RULES[claim.kind]
    by_part: dict[str, list[Direction | None]] = {}
    wrong: list[str] = []
    for path, reported, tolerance in _parts(claim):
        values = [_descend(value, path) for value in measured]
        part = ", ".join("length" if step is len else str(step) for step in path)
        by_part[part] = [rule.direction(value, reported, tolerance) for value in values]
        if any(by_part[part]):
            shown = " / ".join("missing" if value is None else brief(value) for value in values)
            wrong.append(f"{part + ': ' if part else ''}{shown}, expected {rule.expected(reported, tolerance)}")
    if not wrong:
        return conclude(by_part, rule.holds(claim))
    more = f" (and {len(wrong) - SHOWN_PARTS} more)" if len(wrong) > SHOWN_PARTS else ""
    partly = f"; {len(by_part) - len(wrong)} of {len(by_part)} parts hold" if len(by_part) > 1 else ""
    return conclude(by_part, "; ".join(wrong[:SHOWN_PARTS]) + more + partly)


def _parts(claim: Claim) -> Iterator[tuple[Path, Any, Any]]:
    """Split the claim into the smallest parts that are compared: (path into the value, reported, tolerance).

    The step `len` stands for the number of elements, so that nothing missing and nothing extra passes.
    """
    whole = claim.kind in {Kind.EXACT, Kind.VALUE}  # of the others the innermost list is what one part may be

    def walk(reported: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
        if isinstance(reported, dict) or (whole and isinstance(reported, list)):
            if whole:
                yield (*path, len), len(reported), 0
            for step, value in reported.items() if isinstance(reported, dict) else enumerate(reported):
                yield from walk(value, (*path, step))
        else:
            yield path, reported, claim.tolerance_of(str(path[0]) if path else "") if claim.kind is Kind.VALUE else None

    return walk(claim.reported, ())


def _descend(value: Any, path: Path) -> Any:
    """Return the value at the path, None where it has none."""
    for step in path:
        if step is len:
            value = len(value) if isinstance(value, list | dict) else None
        elif isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _off_value(value: Any, reported: Any, tolerance: Any) -> Direction | None:
    if not is_number(reported) or not is_number(value):
        return None if value == reported else "different"
    if abs(value - reported) <= (tolerance + FLOAT_SLACK if tolerance is not None else 0):
        return None
    return "low" if value < reported else "high"


def _off_range(value: Any, reported: Any, _: Any) -> Direction | None:
    if not is_number(value):
        return "different"
    return "low" if value < reported[0] else "high" if value > reported[1] else None


def _within_tolerance(claim: Claim) -> str:
    if isinstance(claim.tolerance, dict):
        return "within " + ", ".join(f"±{number(value)} ({part})" for part, value in claim.tolerance.items())
    return f"within ±{number(claim.tolerance_of(''))}"


def _toleranced(reported: Any, tolerance: Any) -> str:
    return f"{brief(reported)} ± {number(tolerance)}" if is_number(reported) else brief(reported)


class _Rule(NamedTuple):
    """How a part is compared (value, reported, tolerance), what is expected of it, and what is said where all hold."""

    direction: Callable[[Any, Any, Any], Direction | None]
    expected: Callable[[Any, Any], str]
    holds: Callable[[Claim], str]


_RULES = {
    Kind.EXACT: _Rule(_off_value, lambda reported, _: brief(reported), lambda _: "equal"),
    Kind.VALUE: _Rule(_off_value, _toleranced, _within_tolerance),
    Kind.RANGE: _Rule(_off_range, lambda reported, _: " to ".join(map(brief, reported)), lambda _: "within the range"),
    Kind.ONE_OF: _Rule(
        lambda value, reported, _: None if value in reported else "different",
        lambda reported, _: " or ".join(map(brief, reported)),
        lambda _: "among those reported",
    ),
}
