"""Runs are averaged only where one code, one set of libraries and one setup made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from repro.claims.catalogue import load_catalogue
from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.judge import judge_all
from repro.records.record import RunRecord

MakeRecord = Callable[..., RunRecord]


class Hashed(RunRecord):
    """A record that names the source of its section."""

    source_sha256: str


def origin(make: MakeRecord, **changed: Any) -> dict[str, Any]:
    return {"provenance": make().provenance.model_copy(update={"commit": "a" * 40, "dirty": False, **changed})}


def seeds_of(cohorts: list[Cohort]) -> list[tuple[int, ...]]:
    return [cohort.seeds for cohort in cohorts]


def test_seeds_of_two_commits_are_two_cohorts(make_record: MakeRecord) -> None:
    old = [make_record(seed=seed, **origin(make_record)) for seed in (0, 1)]
    new = make_record(seed=2, **origin(make_record, commit="b" * 40))
    assert seeds_of(cohorts_of([*old, new])) == [(0, 1), (2,)]


def test_code_with_uncommitted_changes_is_no_commit(make_record: MakeRecord) -> None:
    records = [make_record(seed=i, **origin(make_record, dirty=dirty)) for i, dirty in enumerate((False, True))]
    assert seeds_of(cohorts_of(records)) == [(0,), (1,)]


def test_one_source_of_the_section_is_one_cohort_whatever_else_was_committed(make_record: MakeRecord) -> None:
    records = [
        Hashed(**make_record(seed=i, **origin(make_record, commit=commit * 40)).model_dump(), source_sha256=source)
        for i, (commit, source) in enumerate((("a", "x"), ("b", "x"), ("b", "y")))
    ]
    assert seeds_of(cohorts_of(records)) == [(0, 1), (2,)]


def test_seeds_of_two_library_versions_are_two_cohorts(make_record: MakeRecord) -> None:
    versions = make_record().provenance.versions
    other = origin(make_record, versions={**versions, "torch": "9"})
    records = [make_record(**origin(make_record)), make_record(seed=1, **other)]
    assert seeds_of(cohorts_of(records)) == [(0,), (1,)]


def test_threads_part_only_what_is_said_of_seconds(make_record: MakeRecord) -> None:
    seconds = {"train": 100.0, "evaluate": 2.0}
    records = [
        make_record(seed=seed, seconds=seconds, **origin(make_record, threads=threads))
        for seed, threads in ((0, 1), (1, 1), (2, 8))
    ]
    assert seeds_of(cohorts_of(records)) == [(0, 1, 2)]
    assert seeds_of(cohorts_of(records, by_machine=True)) == [(0, 1), (2,)]
    verdicts = {v.claim.id: v.seeds for v in judge_all(load_catalogue(), records, [])}
    assert (verdicts["finetune.steps"], len(verdicts["finetune.duration"])) == ((0, 1, 2), 1)


def test_the_newest_record_of_a_seed_counts_and_the_older_ones_are_counted(make_record: MakeRecord) -> None:
    first, again = (make_record(started=f"2026-01-0{day}T00:00:00Z", **origin(make_record)) for day in (1, 2))
    (cohort,) = cohorts_of([first, again])
    assert (cohort.records, cohort.superseded) == ((again,), 1)
