"""Each kind of claim, judged: what every seed measured against what was reported, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import POPULATION, Claim, Direction, Kind
from repro.claims.cohorts import Cohort, malformed
from repro.claims.distribution import judge_distribution
from repro.claims.ordering import judge_ordering
from repro.claims.placing import judge_placed
from repro.claims.seeds import Judgement, conclude
from repro.claims.wording import brief, is_number, number

SHOWN_PARTS = 4
FLOAT_SLACK = 1e-9  # 0.3525 - 0.352 is 0.0005 plus rounding of the machine's, not of ours
Path = tuple[Any, ...]


def judge_kind(
    claim: Claim, catalogue: Catalogue, cohort: Cohort, cohorts: Sequence[Cohort], measured: Sequence[Any]
) -> Judgement:
    """Judge what the cohort measured, whose shape `check_shape` has passed."""
    if claim.kind is Kind.ORDERING:
        return judge_ordering(claim, cohort, cohorts)
    if claim.kind is Kind.DISTRIBUTION:
        return judge_distribution(claim, catalogue, measured)
    if claim.kind is Kind.REFERENCE:
        return judge_placed(claim, catalogue, cohort.setup, measured)
    if claim.kind is Kind.OVERLAP:
        return _judge_overlap(claim, measured)
    return _judge_parts(claim, measured)


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
        elif claim.kind in _DIRECTIONS:
            for path, reported, _ in _parts(claim):
                part = _descend(value, path)
                numeric = is_number(reported[0] if claim.kind is Kind.RANGE else reported)
                if numeric and part is not None and not is_number(part):  # None: that part was not measured
                    raise malformed(claim.id, f"a number like {brief(reported)}, got {brief(part)}")


def _judge_overlap(claim: Claim, measured: Sequence[Any]) -> Judgement:
    shared = [len(set(claim.reported) & set(members)) for members in measured]
    least = claim.tolerance_of("")
    directions: list[Direction | None] = [None if n >= least else "low" for n in shared]
    return conclude({"shared": directions}, f"{number(fmean(shared))} shared, at least {number(least)} expected")


def _judge_parts(claim: Claim, measured: Sequence[Any]) -> Judgement:
    by_part: dict[str, list[Direction | None]] = {}
    wrong: list[str] = []
    for path, reported, tolerance in _parts(claim):
        values = [_descend(value, path) for value in measured]
        part = ", ".join("length" if step is len else str(step) for step in path)
        by_part[part] = [_DIRECTIONS[claim.kind](value, reported, tolerance) for value in values]
        if any(by_part[part]):
            wrong.append(_explain(claim.kind, part, values, reported, tolerance))
    if not wrong:
        return conclude(by_part, _within(claim))
    more = f" (and {len(wrong) - SHOWN_PARTS} more)" if len(wrong) > SHOWN_PARTS else ""
    partly = f"; {len(by_part) - len(wrong)} of {len(by_part)} parts hold" if len(by_part) > 1 else ""
    return conclude(by_part, "; ".join(wrong[:SHOWN_PARTS]) + more + partly)


def _parts(claim: Claim) -> Iterator[tuple[Path, Any, Any]]:
    """Split the claim into the smallest parts that are compared: (path into the value, reported, tolerance).

    The step `len` stands for the number of elements, so that nothing missing and nothing extra passes.
    """
    # for a range and one-of the innermost list is what one part may be, not a list of parts
    leaf_is_list = claim.kind in {Kind.RANGE, Kind.ONE_OF}

    def walk(reported: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
        if isinstance(reported, dict):
            yield (*path, len), len(reported), 0
            for key, value in reported.items():
                yield from walk(value, (*path, key))
        elif isinstance(reported, list) and not leaf_is_list:
            yield (*path, len), len(reported), 0
            for i, value in enumerate(reported):
                yield from walk(value, (*path, i))
        else:
            yield path, reported, claim.tolerance_of(str(path[0]) if path else "") if claim.kind is Kind.VALUE else None

    for path, reported, tolerance in walk(claim.reported, ()):
        if path[-1:] != (len,) or claim.kind in {Kind.EXACT, Kind.VALUE}:
            yield path, reported, tolerance


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


def _direction_of_value(value: Any, reported: Any, tolerance: Any) -> Direction | None:
    if not is_number(reported) or not is_number(value):
        return None if value == reported else "different"
    if abs(value - reported) <= (tolerance + FLOAT_SLACK if tolerance is not None else 0):
        return None
    return "low" if value < reported else "high"


def _direction_of_range(value: Any, reported: Any, _: Any) -> Direction | None:
    if not is_number(value):
        return "different"
    return "low" if value < reported[0] else "high" if value > reported[1] else None


def _direction_of_one_of(value: Any, reported: Any, _: Any) -> Direction | None:
    return None if value in reported else "different"


_DIRECTIONS: dict[Kind, Callable[[Any, Any, Any], Direction | None]] = {
    Kind.VALUE: _direction_of_value,
    Kind.EXACT: _direction_of_value,
    Kind.RANGE: _direction_of_range,
    Kind.ONE_OF: _direction_of_one_of,
}


def _explain(kind: Kind, part: str, values: list[Any], reported: Any, tolerance: Any) -> str:
    expected = brief(reported)
    if kind is Kind.VALUE and is_number(reported):
        expected = f"{brief(reported)} ± {number(tolerance)}"
    elif kind is Kind.RANGE:
        expected = " to ".join(map(brief, reported))
    elif kind is Kind.ONE_OF:
        expected = " or ".join(map(brief, reported))
    measured = " / ".join("missing" if value is None else brief(value) for value in values)
    return f"{part}: {measured}, expected {expected}" if part else f"{measured}, expected {expected}"


def _within(claim: Claim) -> str:
    if claim.kind is Kind.VALUE:
        if isinstance(claim.tolerance, dict):
            return "within " + ", ".join(f"±{number(value)} ({part})" for part, value in claim.tolerance.items())
        return f"within ±{number(claim.tolerance_of(''))}"
    return {Kind.RANGE: "within the range", Kind.ONE_OF: "among those reported"}.get(claim.kind, "equal")
