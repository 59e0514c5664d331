"""Runs are averaged only where one code, one set of libraries and one setup made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.judge import Verdict, judge_all
from repro.records.schema import RunRecord, Scores

MakeRecord = Callable[..., RunRecord]


def origin(make: MakeRecord, **changed: Any) -> dict[str, Any]:
    return {"provenance": make().provenance.model_copy(update={"commit": "a" * 40, "dirty": False, **changed})}


def scored(f1: float) -> Scores:
    right = round(f1 * 2000)
    return Scores(
        n=2000, accuracy=f1, accuracy_interval=(f1, f1), weighted_f1=f1, weighted_f1_interval=(f1, f1), macro_f1=f1,
        class_f1=[f1] * 6, confusion=[[right, 2000 - right], [0, 0]], loss=0.2,
    )  # fmt: skip


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
        make_record(seed=i, source_sha256=source * 64, **origin(make_record, commit=commit * 40))
        for i, (commit, source) in enumerate((("a", "1"), ("b", "1"), ("b", "2")))
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


def declared(make: MakeRecord, seeds: list[int], of: list[int], **parts: Any) -> list[RunRecord]:
    values = {0: 0.9240, 1: 0.9250, 2: 0.9245, 3: 0.9255, 4: 0.9235}
    return [
        make(
            seed=seed, declared_seeds=of, scores={"epoch-2/validation": scored(values[seed % 5])},
            facts={"head_seed": seed}, **parts,
        )
        for seed in seeds
    ]  # fmt: skip


def f1_verdict(*records: RunRecord) -> Verdict:
    return next(v for v in judge_all(load_catalogue(), records, []) if v.claim.id == "finetune.f1")


def test_no_mean_is_judged_before_all_declared_seeds_have_run(make_record: MakeRecord) -> None:
    early = f1_verdict(*declared(make_record, [0, 1, 2], of=[0, 1, 2, 3, 4]))
    assert early.outcome is Outcome.INCONCLUSIVE
    assert early.why.startswith("3 of the 5 seeds that were declared have run")
    assert f1_verdict(*declared(make_record, [0, 1, 2, 3, 4], of=[0, 1, 2, 3, 4])).outcome is Outcome.REPRODUCED


def test_seeds_declared_later_make_a_new_verdict_that_says_so(make_record: MakeRecord) -> None:
    first = declared(make_record, [0, 1, 2], of=[0, 1, 2])
    later = declared(make_record, [3, 4], of=[0, 1, 2, 3, 4], started="2026-02-01T00:00:00Z")
    verdict = f1_verdict(*first, *later)
    assert verdict.seeds == (0, 1, 2, 3, 4)
    assert "a new verdict: seeds 0-2 had been declared before" in verdict.why


def test_a_seed_that_was_run_again_is_counted_and_said(make_record: MakeRecord) -> None:
    runs = declared(make_record, [0, 1, 2, 3, 4], of=[0, 1, 2, 3, 4])
    again = declared(make_record, [2], of=[0, 1, 2, 3, 4], started="2026-02-01T00:00:00Z")
    assert f1_verdict(*runs, *again).why.endswith("; 1 earlier record of these seeds superseded")
