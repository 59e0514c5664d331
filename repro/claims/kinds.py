"""Each kind of claim, judged: what every seed measured against what was reported, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

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
    """Raise RecordError where a value of a list or of figures is of another shape than the claim reads."""
    for value in measured:
        if claim.kind is Kind.OVERLAP:
            if not isinstance(value, list) or not all(isinstance(member, int | str) for member in value):
                raise malformed(claim.id, f"a list of numbers or words, got {brief(value)}")
        elif claim.kind in POPULATION:
            for part in value.values() if isinstance(value, dict) else [value]:
                if not is_number(part):
                    raise malformed(claim.id, f"a number, got {brief(part)}")


def _judge_parts(claim: Claim, measured: Sequence[Any]) -> Judgement:
    by_part: dict[str, list[Direction | None]] = {}
    wrong: list[str] = []
    nodes = [dict(_nodes(value)) for value in measured]
    for path, reported in _parts(claim):
        values = [of_seed.get(path) for of_seed in nodes]
        allowed, expected = _allowed(claim, path, reported)
        for value in values:
            if isinstance(allowed, tuple) and value is not None and not is_number(value):  # None: it was not measured
                raise malformed(claim.id, f"a number like {brief(reported)}, got {brief(value)}")
        part = ", ".join("length" if step is len else str(step) for step in path)
        by_part[part] = [_side(value, allowed) for value in values]
        if any(by_part[part]):
            shown = " / ".join("missing" if value is None else brief(value) for value in values)
            wrong.append(f"{part + ': ' if part else ''}{shown}, expected {expected}")
    if not wrong:
        return conclude(by_part, _all_hold(claim))
    more = f" (and {len(wrong) - SHOWN_PARTS} more)" if len(wrong) > SHOWN_PARTS else ""
    partly = f"; {len(by_part) - len(wrong)} of {len(by_part)} parts hold" if len(by_part) > 1 else ""
    return conclude(by_part, "; ".join(wrong[:SHOWN_PARTS]) + more + partly)


def _parts(claim: Claim) -> Iterator[tuple[Path, Any]]:
    """Yield the smallest parts that are compared, with lengths, so that nothing missing and nothing extra passes."""
    if claim.kind not in {Kind.RANGE, Kind.ONE_OF}:
        yield from ((path, each) for path, each in _nodes(claim.reported) if not isinstance(each, dict | list))
    elif isinstance(claim.reported, dict):  # there a list is what one part may be, not a list of parts
        yield from (((part,), each) for part, each in claim.reported.items())
    else:
        yield (), claim.reported


def _allowed(claim: Claim, path: Path, reported: Any) -> tuple[tuple[float, float] | list[Any], str]:
    """Return what a part may be, the two ends of a span or a list of values, and the same in words."""
    if claim.kind is Kind.RANGE:
        return (reported[0], reported[1]), " to ".join(map(brief, reported))
    if claim.kind is Kind.ONE_OF:
        return reported, " or ".join(map(brief, reported))
    if not is_number(reported):
        return [reported], brief(reported)
    if claim.kind is Kind.EXACT:
        return (reported, reported), brief(reported)
    tolerance = 0 if path[-1:] == (len,) else claim.tolerance_of(str(path[0]) if path else "")
    slack = tolerance + FLOAT_SLACK
    return (reported - slack, reported + slack), f"{brief(reported)} ± {number(tolerance)}"


def _side(value: Any, allowed: tuple[float, float] | list[Any]) -> Direction | None:
    if isinstance(allowed, list) or value is None:
        return None if value in allowed else "different"
    return "low" if value < allowed[0] else "high" if value > allowed[1] else None


def _all_hold(claim: Claim) -> str:
    if isinstance(claim.tolerance, dict):
        return "within " + ", ".join(f"±{number(value)} ({part})" for part, value in claim.tolerance.items())
    if claim.tolerance is not None:
        return f"within ±{number(claim.tolerance)}"
    return {Kind.RANGE: "within the range", Kind.ONE_OF: "among those reported"}.get(claim.kind, "equal")


def _nodes(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield a value and all its parts by their path; the step `len` is the number of members of a table or list."""
    yield path, value
    if isinstance(value, dict | list):
        yield (*path, len), len(value)
        for step, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _nodes(member, (*path, step))
