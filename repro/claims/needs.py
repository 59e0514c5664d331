"""What a run must have for a claim to be comparable, and whether it has it as the claim's own or as a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim, Need
from repro.claims.cohorts import Cohort
from repro.claims.wording import brief
from repro.records.schema import RunRecord

SHARED = ("corpus.", "recipe.")  # what one record of a cohort says of them all say


def unmet_need(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> str | None:
    """Return what the cohort lacks for the claim to be comparable, in words, or None."""
    for name in claim.needs:
        need = catalogue.needs[name]
        for path, value in _values(need, cohort):
            wanted = _wanted(need.holds[path])
            if value not in wanted and value not in _wanted(need.stand_in.get(path, [])):
                expected = " or ".join(map(brief, wanted))
                return f"needs {need.text}; {path} is {brief(value)}, not {expected}"
    return None


def on_stand_in(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> bool:
    """Tell whether a need of the claim is met by a stand-in only."""
    needs = [catalogue.needs[name] for name in claim.needs]
    return any(value not in _wanted(need.holds[path]) for need in needs for path, value in _values(need, cohort))


def _values(need: Need, cohort: Cohort) -> Iterator[tuple[str, Any]]:
    for i, record in enumerate(cohort.records):
        for path in need.holds:
            if not (i and path.startswith(SHARED)):
                yield path, _at(record, path)


def _wanted(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _at(record: RunRecord, path: str) -> Any:
    try:
        return record.at(path)
    except KeyError:
        return None
