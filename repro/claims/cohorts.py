"""Cohorts: an experiment's runs that one code, one set of libraries and one setup made; of each seed the newest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from repro.claims.claim import Claim
from repro.display import is_number, plural
from repro.errors import RecordError
from repro.records.schema import LARGEST, RunRecord
from repro.spec import RunSpec, seed_ranges


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """One experiment's records by seed; `superseded` counts older records of the same seeds.

    The seeds are those that were declared last (`--seeds`), as far as they have run; `missing` have not, and `earlier`
    are the sets that were declared before. `material` is corpus and weights alone: what two classifiers must share to
    be compared on the same rows.
    """

    experiment: str
    setup: RunSpec
    material: tuple[str, str]
    records: tuple[RunRecord, ...]
    superseded: int = 0
    missing: tuple[int, ...] = ()
    earlier: tuple[tuple[int, ...], ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, rising."""
        return tuple(record.settings.seed for record in self.records)

    @property
    def remarks(self) -> str:
        """What a verdict on these runs must say of how they came to be these."""
        remarks = ""
        if self.superseded:
            remarks = f"; {plural(self.superseded, 'earlier record')} of these seeds superseded"
        if self.earlier:
            sets = " and ".join(map(seed_ranges, self.earlier))
            remarks += f"; a new verdict: seeds {sets} had been declared before"
        return remarks

    @property
    def newest(self) -> str:
        """When the newest record was started."""
        return max(record.provenance.started for record in self.records)

    def values(self, address: str) -> list[Any] | None:
        """Return what each seed's record holds at `experiment:dotted.path`, or None where one holds nothing.

        RecordError for a number that no experiment measures.
        """
        experiment, path = address.split(":", 1)
        if experiment != self.experiment:
            return None
        try:
            values = [record.at(path) for record in self.records]
        except KeyError:
            return None
        for value in values:
            if is_number(value) and not abs(value) < LARGEST:
                raise malformed(address, f"a number below 2**63, got {value:g}")
        return None if None in values else values

    def measured(self, claim: Claim) -> list[Any] | None:
        """Return what each seed measured for the claim, or None where a record lacks a part of it."""
        if isinstance(claim.measure, str):
            return self.values(claim.measure)
        columns = [values for address in claim.addresses if (values := self.values(address)) is not None]
        if len(columns) < len(claim.measure):
            return None
        return [dict(zip(claim.measure, row, strict=True)) for row in zip(*columns, strict=True)]


def malformed(reader: str, expected: str) -> RecordError:
    """Return the error of a record that holds something of another shape than its experiment writes."""
    return RecordError(
        f"a record does not hold what {reader} reads from it: expected {expected}",
        "Move that record out of the results folder, or run the experiment again.",
    )


def cohorts_of(records: Iterable[RunRecord], *, by_machine: bool = False) -> list[Cohort]:
    """Group records (oldest first) by what decides their results; `by_machine` also by what decides their seconds.

    The cohort that was measured last stands last.
    """
    groups: dict[tuple[Any, ...], list[RunRecord]] = defaultdict(list)
    for record in records:
        origin = record.provenance
        source = record.source_sha256 or (origin.commit, origin.dirty)
        key = (
            record.experiment, record.spec.setup, record.corpus.model_dump_json(), record.recipe.model_dump_json(),
            source, origin.python, *origin.versions.items(),
        )  # fmt: skip
        machine = (origin.processor, origin.threads, origin.accelerator) if by_machine else ()
        groups[*key, *machine].append(record)
    return sorted(map(_cohort, groups.values()), key=lambda cohort: cohort.newest)


def _cohort(group: Sequence[RunRecord]) -> Cohort:
    sets = list(dict.fromkeys(tuple(record.declared_seeds) for record in group if record.declared_seeds))
    chosen = [record for record in group if not sets or record.settings.seed in sets[-1]]
    by_seed = {record.settings.seed: record for record in chosen}
    return Cohort(
        experiment=group[0].experiment,
        setup=group[0].spec.setup,
        material=(group[0].corpus.model_dump_json(), group[0].recipe.weights_sha256),
        records=tuple(by_seed[seed] for seed in sorted(by_seed)),
        superseded=len(chosen) - len(by_seed),
        missing=tuple(sorted(set(sets[-1]) - by_seed.keys())) if sets else (),
        earlier=tuple(sets[:-1]),
    )
