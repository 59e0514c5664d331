"""Cohorts of records: one corpus, recipe and way of running it; within it the newest record of each seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from repro.claims.catalogue import Catalogue, Claim
from repro.claims.wording import brief
from repro.records.record import RunRecord

SHARED = ("corpus.", "recipe.")  # what one record of a cohort says of them all say


@dataclass(frozen=True)
class Cohort:
    """Records by experiment and seed; `key` tells corpus, recipe and settings, `material` corpus and weights alone."""

    key: tuple[Any, ...]
    material: tuple[str, str]
    records: dict[str, dict[int, RunRecord]]

    def of(self, experiment: str) -> list[RunRecord]:
        """Return the experiment's records, by seed."""
        return [record for _, record in sorted(self.records.get(experiment, {}).items())]

    def newest(self, experiment: str) -> str:
        """Return when the experiment's newest record was started."""
        return max(record.provenance.started for record in self.of(experiment))

    def values(self, address: str) -> list[Any] | None:
        """Return what each seed's record holds at `experiment:dotted.path`, or None where one holds nothing."""
        experiment, path = address.split(":", 1)
        try:
            found = [record.at(path) for record in self.of(experiment)]
        except KeyError:
            return None
        return found if found and None not in found else None

    def measured(self, claim: Claim) -> list[Any] | None:
        """Return what each seed measured for the claim, or None where a record lacks a part of it."""
        if isinstance(claim.measure, str):
            return self.values(claim.measure)
        parts = [self.values(address) for address in claim.measure.values()]
        found = [values for values in parts if values is not None]
        if len(found) < len(parts):
            return None
        return [dict(zip(claim.measure, row, strict=True)) for row in zip(*found, strict=True)]

    def basis(self, experiment: str) -> str:
        """Return in words what was run."""
        record = self.of(experiment)[0]
        settings = record.settings
        limited = f", first {settings.limit} rows" if settings.limit else ""
        return f"{record.recipe.name} on {record.corpus.name}, {settings.precision}, {settings.batching}{limited}"


def cohorts_of(records: Sequence[RunRecord]) -> list[Cohort]:
    """Group records (oldest first) into cohorts."""
    grouped: dict[tuple[Any, ...], dict[str, dict[int, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    materials: dict[tuple[Any, ...], tuple[str, str]] = {}
    for record in records:
        way = record.settings.model_dump(exclude={"seed"})
        corpus = record.corpus.model_dump_json()
        key = (corpus, record.recipe.model_dump_json(), *way.values())
        grouped[key][record.experiment][record.settings.seed] = record
        materials[key] = (corpus, record.recipe.weights_sha256)
    return [Cohort(key, materials[key], dict(found)) for key, found in grouped.items()]


def unmet_need(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> str | None:
    """Return what the cohort lacks for the claim to be comparable, in words, or None."""
    for name in claim.needs:
        need = catalogue.needs[name]
        for number, record in enumerate(cohort.of(claim.experiment)):
            for path, wanted in need.holds.items():
                if number and path.startswith(SHARED):
                    continue
                try:
                    found = record.at(path)
                except KeyError:
                    found = None
                if found not in (wanted if isinstance(wanted, list) else [wanted]):
                    expected = " or ".join(map(brief, wanted)) if isinstance(wanted, list) else brief(wanted)
                    return f"needs {need.text}; {path} is {brief(found)}, not {expected}"
    return None
