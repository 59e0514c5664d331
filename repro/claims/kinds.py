"""Kinds of claims that are judged seed by seed: every part against what was reported, shared members, and “beats”.

Seeds all agree, or a sign test says which side has it. An ordering is McNemar's test on the predictions that two
classifiers made for the same rows, seed by seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from repro.claims.claim import POPULATION, Claim, Direction, Judgement, Kind, Outcome, common
from repro.claims.cohorts import Cohort, malformed
from repro.display import brief, is_number, number, p_value
from repro.records.schema import RowResults
from repro.stats import mcnemar, two_sided_binomial

ALPHA = 0.05
SHOWN_PARTS = 4
FLOAT_SLACK = 1e-9  # 0.3525 - 0.352 is 0.0005 plus rounding of the machine's, not of ours
Path = tuple[Any, ...]


def majority(successes: int, n: int) -> bool | None:
    """Tell whether most runs succeed: True or False where the sign test at 5 % says so, or None."""
    if two_sided_binomial(successes, n) > ALPHA:
        return None
    return successes > n - successes


def conclude(by_part: Mapping[str, list[Direction | None]], why: str) -> Judgement:
    """Conclude from each part's seeds, None for one that holds and else the direction in which it misses.

    A part whose seeds agree is decided; where they disagree, the sign test decides between holding and missing.
    """
    placed: dict[str, Direction | None] = {}
    undecided = share = ""
    for part, directions in by_part.items():
        placed[part] = common(direction for direction in directions if direction)
        if len(set(directions)) > 1:
            holding, n = directions.count(None), len(directions)
            decided = majority(holding, n)
            share = f"{holding} of {n} seeds hold: "
            if decided is None and not undecided:
                undecided = f"the seeds disagree, {holding} of {n} hold; "
            if decided is not False:
                placed[part] = None
    if any(placed.values()):
        return Judgement(outcome=Outcome.DEVIATES, why=share + why, placed=placed)
    if undecided:
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=undecided + why)
    return Judgement(outcome=Outcome.REPRODUCED, why=share + why)


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


def judge_overlap(claim: Claim, measured: Sequence[Any]) -> Judgement:
    """Compare how many members each seed shares with the least that the claim allows."""
    least, shared = claim.tolerance_of(""), shared_members(claim, measured)
    directions: list[Direction | None] = [None if n >= least else "low" for n in shared]
    return conclude({"shared": directions}, f"{number(fmean(shared))} shared, at least {number(least)} expected")


def judge_parts(claim: Claim, measured: Sequence[Any]) -> Judgement:
    """Compare every part of what each seed measured with what is reported of it."""
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


def pair(first: RowResults, second: RowResults) -> tuple[int, int] | None:
    """Return on how many rows the first alone and the second alone is right; None where their rows are not the same."""
    n = len(first.labels)
    if not n or first.labels != second.labels or not n == len(first.predictions) == len(second.predictions):
        return None
    rows = zip(first.labels, first.predictions, second.predictions, strict=True)
    hits = Counter((a == label, b == label) for label, a, b in rows)
    return hits[True, False], hits[False, True]


def judge_ordering(claim: Claim, cohort: Cohort, cohorts: Sequence[Cohort]) -> Judgement:
    """Compare each seed's rows with the newest other classifier's on the same corpus and weights.

    A seed holds if it is ahead significantly and by more than the claim's margin, misses if it is behind
    significantly, and is open else; seeds that hold and seeds that do not are weighed by the sign test.
    """
    than = claim.than or ""
    others = [c for c in cohorts if c.material == cohort.material and c.values(than)]
    if not others:
        why = f"nothing to compare with: {than.partition(':')[0]} has no such record for these weights"
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=why)
    other = sorted(others, key=lambda c: (c.setup == cohort.setup, c.newest))[-1]
    ours, theirs = (
        [rows for rows in of.values(address or "") or [] if isinstance(rows, RowResults)]
        for of, address in ((cohort, claim.rows), (other, claim.than_rows))
    )
    if not ours or not theirs:
        return Judgement(outcome=Outcome.INCONCLUSIVE, why="the records hold no predictions of rows to pair")
    if len(theirs) != len(ours):
        theirs = [theirs[0]] * len(ours)  # a baseline that draws nothing is recorded once
    pairs = [p for a, b in zip(ours, theirs, strict=True) if (p := pair(a, b))]
    if len(pairs) < len(ours):
        return Judgement(outcome=Outcome.NOT_COMPARABLE, why="the two were not scored on the same rows")
    return _weigh(pairs, len(ours[0].labels), claim.tolerance_of(""))


def _weigh(pairs: Sequence[tuple[int, int]], rows: int, margin: float) -> Judgement:
    tested = [((b - c) / rows, mcnemar(b, c)) for b, c in pairs]
    clear = [lead for lead, p_value in tested if p_value <= ALPHA and not 0 <= lead <= margin]
    decided: list[Direction | None] = [None if lead > margin else "low" for lead in clear]
    n, ahead = len(pairs), decided.count(None)
    (lead, p), (ours, theirs) = min(zip(tested, pairs, strict=True), key=lambda seed: seed[0][0])
    why = (
        f"{f'the least of {n} seeds: ' if n > 1 else ''}McNemar on {rows:,} rows: right alone {ours} to {theirs}, "
        f"p {p_value(p)}; ahead by {number(lead)}, margin {number(margin)}"
    )
    if not decided:
        significant = "significant, but no more than the margin" if p <= ALPHA else "not significant"
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=f"{why}; {significant}, and more seeds add no rows")
    if len(decided) < n and not majority(ahead, n):
        return Judgement(outcome=Outcome.INCONCLUSIVE, why=f"the seeds disagree, {ahead} of {n} hold; {why}")
    return conclude({"ahead": decided}, why)
