"""Claims x records -> verdicts: reproduced, deviates (low or high), inconclusive, not comparable, not run.

A claim is judged on one cohort of records: one corpus, recipe and way of running it, the newest record of each
seed. Every seed is held against the tolerance by itself; seeds that disagree make a claim inconclusive. A cohort
that lacks what the claim needs is never judged, only shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev
from typing import Any, Literal

from repro.claims.model import Catalogue, Claim, Kind
from repro.records.record import RunRecord

Side = Literal["low", "high", "different"]
SHOWN_PARTS = 4


class Outcome(StrEnum):
    """The five answers; there is no bare pass."""

    REPRODUCED = "reproduced"
    DEVIATES = "deviates"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to one claim, with what was measured (`shown`), on which seeds and basis, and why."""

    claim: Claim
    outcome: Outcome
    why: str
    side: Side | None = None
    shown: str = ""
    seeds: tuple[int, ...] = ()
    basis: str = ""

    @property
    def label(self) -> str:
        """The outcome in words: `deviates (low)`."""
        return f"{self.outcome} ({self.side})" if self.side in ("low", "high") else str(self.outcome)

    def as_row(self) -> dict[str, Any]:
        """Return the verdict as flat JSON."""
        return {
            "claim": self.claim.id,
            "section": self.claim.section,
            "text": self.claim.text,
            "reported": self.claim.shown,
            "measured": self.shown,
            "seeds": list(self.seeds),
            "verdict": str(self.outcome),
            "side": self.side,
            "why": self.why,
            "basis": self.basis,
            "source": self.claim.source,
        }


@dataclass(frozen=True)
class Cohort:
    """Records of one way of running one recipe on one corpus: experiment -> seed -> newest record."""

    key: tuple[Any, ...]
    records: dict[str, dict[int, RunRecord]]

    def of(self, experiment: str) -> list[RunRecord]:
        """Return the experiment's records, by seed."""
        return [record for _, record in sorted(self.records.get(experiment, {}).items())]

    def newest(self, experiment: str) -> str:
        """Return when the experiment's newest record was started."""
        return max(record.provenance.started for record in self.of(experiment))


def judge_all(catalogue: Catalogue, records: Sequence[RunRecord], runnable: Sequence[str]) -> list[Verdict]:
    """Judge every claim; `runnable` names the experiments that this version of the suite has."""
    cohorts = _cohorts(records)
    return [judge(claim, catalogue, cohorts, runnable) for claim in catalogue.claim]


def judge(claim: Claim, catalogue: Catalogue, cohorts: Sequence[Cohort], runnable: Sequence[str]) -> Verdict:
    """Judge one claim on the cohort that meets its needs and has the most seeds, the newest among equals."""
    having = [cohort for cohort in cohorts if _measured(claim, cohort) is not None]
    if not having:
        return Verdict(claim=claim, outcome=Outcome.NOT_RUN, why=_how_to_run(claim, runnable))
    having.sort(
        key=lambda cohort: (
            _unmet(claim, catalogue, cohort) is None,
            len(cohort.of(claim.experiment)),
            cohort.newest(claim.experiment),
        )
    )
    cohort = having[-1]
    measured = _measured(claim, cohort) or []
    found: dict[str, Any] = {
        "claim": claim,
        "shown": _show(claim, cohort, measured),
        "seeds": tuple(record.settings.seed for record in cohort.of(claim.experiment)),
        "basis": _basis(cohort.of(claim.experiment)[0]),
    }
    unmet = _unmet(claim, catalogue, cohort)
    if claim.kind is Kind.INFORMATION:
        return Verdict(outcome=Outcome.NOT_COMPARABLE, why="for information: " + (claim.note or "not judged"), **found)
    if unmet:
        return Verdict(outcome=Outcome.NOT_COMPARABLE, why=unmet, **found)
    outcome, side, why = _compare(claim, cohort, cohorts, measured)
    return Verdict(outcome=outcome, side=side, why=why, **found)


def _cohorts(records: Sequence[RunRecord]) -> list[Cohort]:
    grouped: dict[tuple[Any, ...], dict[str, dict[int, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:  # oldest first: a newer record of the same seed takes the older one's place
        way = record.settings.model_dump(exclude={"seed"})
        recipe = record.recipe.model_dump_json()
        key = (record.corpus.model_dump_json(), recipe, *way.values())
        grouped[key][record.experiment][record.settings.seed] = record
    return [Cohort(key, dict(found)) for key, found in grouped.items()]


def _measured(claim: Claim, cohort: Cohort) -> list[Any] | None:
    """Return what each seed's record measured for the claim, or None where no record of the cohort has it."""
    if isinstance(claim.measure, str):
        return _values(cohort, claim.experiment, _path(claim.measure))
    parts = {part: _values(cohort, claim.experiment, _path(address)) for part, address in claim.measure.items()}
    columns = [values for values in parts.values() if values]
    if len(columns) < len(parts):
        return None
    return [dict(zip(parts, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(cohort: Cohort, experiment: str, path: str) -> list[Any] | None:
    """Return the value at the path of each seed's record, or None where one has none."""
    try:
        return [record.at(path) for record in cohort.of(experiment)] or None
    except KeyError:
        return None


def _unmet(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> str | None:
    """Return what the cohort lacks for the claim to be comparable, in words, or None."""
    for name in claim.needs:
        need = catalogue.needs[name]
        for record in cohort.of(claim.experiment):
            for path, wanted in need.holds.items():
                try:
                    found = record.at(path)
                except KeyError:
                    found = None
                if found != wanted:
                    return f"needs {need.text}; {path} is {_brief(found)}, not {_brief(wanted)}"
    return None


def _compare(
    claim: Claim, cohort: Cohort, cohorts: Sequence[Cohort], measured: list[Any]
) -> tuple[Outcome, Side | None, str]:
    if claim.kind is Kind.ORDERING:
        return _compare_ordering(claim, cohort, cohorts, measured)
    if claim.kind is Kind.OVERLAP:
        least = float(claim.tolerance) if isinstance(claim.tolerance, int | float) else 0.0
        shared = [len(set(claim.reported) & set(found)) for found in measured]
        sides: list[Side | None] = [None if n >= least else "low" for n in shared]
        return _conclude({"shared": sides}, f"{_number(fmean(shared))} shared, at least {_number(least)} expected")
    by_part: dict[str, list[Side | None]] = {}
    wrong: list[str] = []
    for part, reported, tolerance in _parts(claim):
        values = [_descend(found, part) for found in measured]
        by_part[_name(part)] = [_SIDES[claim.kind](value, reported, tolerance) for value in values]
        if any(by_part[_name(part)]):
            wrong.append(_explain(claim.kind, _name(part), values, reported, tolerance))
    within = {
        Kind.EXACT: "equal", Kind.RANGE: "within the range", Kind.ONE_OF: "among those reported",
        Kind.VALUE: f"within ±{_tolerances(claim)}",
    }[claim.kind]  # fmt: skip
    if not wrong:
        return _conclude(by_part, within)
    more = f" (and {len(wrong) - SHOWN_PARTS} more)" if len(wrong) > SHOWN_PARTS else ""
    holds = len(by_part) - len(wrong)
    partly = f"; {holds} of {len(by_part)} parts hold" if len(by_part) > 1 else ""
    return _conclude(by_part, "; ".join(wrong[:SHOWN_PARTS]) + more + partly)


def _compare_ordering(
    claim: Claim, cohort: Cohort, cohorts: Sequence[Cohort], measured: list[Any]
) -> tuple[Outcome, Side | None, str]:
    assert claim.than is not None and isinstance(claim.tolerance, float | int)  # noqa: S101 (the model holds it)
    experiment, path = claim.than.split(":", 1)
    identity = cohort.key[:2]  # same corpus, same recipe; the way of running it may differ
    others = [_values(c, experiment, path) for c in (cohort, *cohorts) if c.key[:2] == identity]
    compared = next((values for values in others if values), None)
    if compared is None:
        return Outcome.INCONCLUSIVE, None, f"nothing to compare with: {experiment} has no such record for this recipe"
    smaller = fmean(compared)
    margins = [value - smaller for value in measured]
    sides: list[Side | None] = [None if m > claim.tolerance else "low" for m in margins]
    why = f"ahead by {_number(min(margins))}, margin {_number(claim.tolerance)}"
    if all(abs(m) <= claim.tolerance for m in margins):
        return Outcome.INCONCLUSIVE, None, why
    return _conclude({"ahead": sides}, why)


def _conclude(by_part: dict[str, list[Side | None]], why: str) -> tuple[Outcome, Side | None, str]:
    """A part whose seeds all miss on one side deviates; one whose seeds disagree is undecided."""
    deviating, undecided = set(), False
    for sides in by_part.values():
        if set(sides) == {None}:
            continue
        if len(set(sides)) == 1:
            deviating.add(sides[0])
        else:
            undecided = True
    if deviating:
        return Outcome.DEVIATES, deviating.pop() if len(deviating) == 1 else "different", why
    if undecided:
        return Outcome.INCONCLUSIVE, None, f"the seeds disagree, run more: {why}"
    return Outcome.REPRODUCED, None, why


def _side_of_value(value: Any, reported: Any, tolerance: Any) -> Side | None:
    if _is_number(reported) and _is_number(value):
        if abs(value - reported) <= tolerance:
            return None
        return "low" if value < reported else "high"
    return None if value == reported else "different"


def _side_of_range(value: Any, reported: Any, tolerance: Any) -> Side | None:
    del tolerance
    if not _is_number(value):
        return "different"
    return "low" if value < reported[0] else "high" if value > reported[1] else None


def _side_of_exact(value: Any, reported: Any, tolerance: Any) -> Side | None:
    del tolerance
    return _side_of_value(value, reported, 0)


def _side_of_one_of(value: Any, reported: Any, tolerance: Any) -> Side | None:
    del tolerance
    return None if value in reported else "different"


_SIDES: dict[Kind, Callable[[Any, Any, Any], Side | None]] = {
    Kind.VALUE: _side_of_value,
    Kind.EXACT: _side_of_exact,
    Kind.RANGE: _side_of_range,
    Kind.ONE_OF: _side_of_one_of,
}


def _parts(claim: Claim) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """Split the claim into the smallest parts that are compared: (path into the value, reported, tolerance)."""
    # for a range and one-of the innermost list is what one part may be, not a list of parts
    leaf_is_list = claim.kind in {Kind.RANGE, Kind.ONE_OF}

    def walk(reported: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
        if isinstance(reported, dict):
            for key, value in reported.items():
                yield from walk(value, (*path, key))
        elif isinstance(reported, list) and not leaf_is_list:
            yield (*path, len), len(reported), 0
            for i, value in enumerate(reported):
                yield from walk(value, (*path, i))
        else:
            tolerance = claim.tolerance
            yield path, reported, tolerance[path[0]] if isinstance(tolerance, dict) else tolerance

    return walk(claim.reported, ())


def _descend(value: Any, path: tuple[Any, ...]) -> Any:
    """Return the value at the path, None where it has none; the step `len` asks for a list's length."""
    for step in path:
        if step is len:
            value = len(value) if isinstance(value, list | tuple) else None
        else:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
    return value


def _show(claim: Claim, cohort: Cohort, measured: list[Any]) -> str:
    """Return what was measured for people: mean and spread over seeds, or the interval over rows for one seed."""
    records = cohort.of(claim.experiment)
    if all(_is_number(value) for value in measured) and isinstance(claim.measure, str):
        if len(measured) > 1:
            return f"{_number(fmean(measured))} ± {_number(stdev(measured))} SD, {len(measured)} seeds"
        path = _path(claim.measure)
        try:
            low, high = records[0].at(path + "_interval")
            rows = records[0].at(path.rpartition(".")[0] + ".n")
        except KeyError:
            return _number(measured[0])
        return f"{_number(measured[0])} [{_number(low)}, {_number(high)}], n = {rows:,}"
    if claim.kind is Kind.OVERLAP:
        shared = [len(set(claim.reported) & set(found)) for found in measured]
        return f"{_number(fmean(shared))} of {len(claim.reported)} shared"
    several = f", mean of {len(measured)} seeds" if len(measured) > 1 else ""
    return _brief(_mean(measured)) + several


def _mean(values: list[Any]) -> Any:
    if all(_is_number(value) for value in values):
        return values[0] if len(set(values)) == 1 else fmean(values)
    if all(isinstance(value, dict) for value in values):
        return {key: _mean([value.get(key) for value in values]) for key in values[0]}
    return values[0]


def _explain(kind: Kind, part: str, values: list[Any], reported: Any, tolerance: Any) -> str:
    named = f"{part}: " if part else ""
    found = " / ".join(_brief(value) for value in values)
    bounds = {
        Kind.VALUE: f"{_brief(reported)} ± {_number(tolerance)}" if _is_number(tolerance) else _brief(reported),
        Kind.RANGE: f"{_brief(reported)}",
        Kind.ONE_OF: " or ".join(map(str, reported)) if isinstance(reported, list) else _brief(reported),
    }
    return f"{named}{found}, expected {bounds.get(kind, _brief(reported))}"


def _how_to_run(claim: Claim, runnable: Sequence[str]) -> str:
    if claim.experiment not in runnable:
        return f"this version of the suite has no experiment {claim.experiment!r} yet"
    return f"python -m repro run {claim.experiment} --recipe distilbert --corpus hub"


def _basis(record: RunRecord) -> str:
    settings = record.settings
    limited = f", first {settings.limit} rows" if settings.limit else ""
    return f"{record.recipe.name} on {record.corpus.name}, {settings.precision}, {settings.batching}{limited}"


def _tolerances(claim: Claim) -> str:
    if isinstance(claim.tolerance, dict):
        return ", ±".join(f"{_number(value)} ({part})" for part, value in claim.tolerance.items())
    return _number(claim.tolerance or 0)


def _path(address: str) -> str:
    return address.split(":", 1)[1]


def _name(path: tuple[Any, ...]) -> str:
    return ", ".join("length" if step is len else str(step) for step in path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float) -> str:
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))  # noqa: PLR2004 (from five digits on)
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.2g}"  # noqa: PLR2004


def _brief(value: Any) -> str:
    """Return a value short enough for a table's cell; a long list tells its length."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_brief(found)}" for key, found in value.items())
    if isinstance(value, list):
        if any(isinstance(found, list) for found in value):
            return f"{len(value)} × {len(value[0])} table"
        shown = [str(found) if isinstance(found, int) else _brief(found) for found in value]
        return ", ".join(shown) if len(value) <= 14 else f"{len(value)} values"  # noqa: PLR2004
    if _is_number(value):
        return _number(value)
    text = str(value)
    return text[:12] + "…" if len(text) == 64 and text.isalnum() else text  # noqa: PLR2004 (a SHA-256)
