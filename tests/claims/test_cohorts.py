"""Runs are averaged only where one code and one setup made them, and judged only if they are what they say."""

from __future__ import annotations

from typing import Any

import pytest

from repro.claims.cohorts import cohorts_of
from repro.claims.judge import judge_all
from repro.records.schema import RowResults, RunRecord
from repro.training.metrics import score
from tests.claims.builders import CATALOGUE, judged, scored
from tests.conftest import MakeRecord

CONFUSIONS = {"most_often_taken_for": {"love": "joy", "surprise": "joy"}}
LABELS = [i % 6 for i in range(600)]
CLAIM = "finetune.confusions"
F1 = {0: 0.9240, 1: 0.9250, 2: 0.9245, 3: 0.9255, 4: 0.9235}
LATER = "2026-02-01T00:00:00Z"


def run(make: MakeRecord, seed: int, **origin: Any) -> RunRecord:
    """A run at commit aaa… unless its origin is given."""
    parts = {"commit": "a" * 40, "dirty": False, **origin}
    source = parts.pop("source", None)
    provenance = make().provenance.model_copy(update=parts)
    return make(seed=seed, source_sha256=source, provenance=provenance, seconds={"train": 100.0, "evaluate": 2.0})


@pytest.mark.parametrize(
    ("origins", "cohorts"),
    [
        ([{}, {}, {"commit": "b" * 40}], [(0, 1), (2,)]),
        ([{}, {"dirty": True}], [(0,), (1,)]),
        ([{"source": "1" * 64}, {"commit": "b" * 40, "source": "1" * 64}, {"source": "2" * 64}], [(0, 1), (2,)]),
        ([{}, {"versions": {"torch": "9"}}], [(0,), (1,)]),
        ([{}, {"python": "3.9"}], [(0,), (1,)]),
    ],
)
def test_seeds_are_one_cohort_where_source_and_libraries_are_one(
    origins: list[dict[str, Any]], cohorts: list[tuple[int, ...]], make_record: MakeRecord
) -> None:
    records = [run(make_record, seed, **origin) for seed, origin in enumerate(origins)]
    assert [cohort.seeds for cohort in cohorts_of(records)] == cohorts


def test_threads_part_only_what_is_said_of_seconds(make_record: MakeRecord) -> None:
    records = [run(make_record, seed, threads=threads) for seed, threads in enumerate((1, 1, 8))]
    assert [cohort.seeds for cohort in cohorts_of(records)] == [(0, 1, 2)]
    assert [cohort.seeds for cohort in cohorts_of(records, by_machine=True)] == [(0, 1), (2,)]
    verdicts = {v.claim.id: v.seeds for v in judge_all(CATALOGUE, records, [])}
    assert (verdicts["finetune.steps"], len(verdicts["finetune.duration"])) == ((0, 1, 2), 1)


def test_the_newest_record_of_a_seed_counts_and_the_older_ones_are_counted(make_record: MakeRecord) -> None:
    first, again = (make_record(started=f"2026-01-0{day}T00:00:00Z") for day in (1, 2))
    (cohort,) = cohorts_of([first, again])
    assert (cohort.records, cohort.superseded) == ((again,), 1)


def declared(make: MakeRecord, seeds: list[int], of: list[int], **parts: Any) -> list[RunRecord]:
    scores = {seed: {"epoch-2/validation": scored(F1[seed])} for seed in seeds}
    return [make(seed=s, declared_seeds=of, scores=scores[s], facts={"head_seed": s}, **parts) for s in seeds]


def test_no_mean_is_judged_before_all_declared_seeds_have_run(make_record: MakeRecord) -> None:
    early = judged("finetune.f1", *declared(make_record, [0, 1, 2], of=[0, 1, 2, 3, 4]))
    assert early.label == "inconclusive"
    assert early.why.startswith("3 of the 5 seeds that were declared have run")
    whole = declared(make_record, [0, 1, 2, 3, 4], of=[0, 1, 2, 3, 4])
    assert judged("finetune.f1", *whole).label == "reproduced"
    again = declared(make_record, [2], of=[0, 1, 2, 3, 4], started=LATER)
    assert judged("finetune.f1", *whole, *again).why.endswith("; 1 earlier record of these seeds superseded")


def test_seeds_declared_later_make_a_new_verdict_that_says_so(make_record: MakeRecord) -> None:
    first = declared(make_record, [0, 1, 2], of=[0, 1, 2])
    verdict = judged("finetune.f1", *first, *declared(make_record, [3, 4], of=[0, 1, 2, 3, 4], started=LATER))
    assert verdict.seeds == (0, 1, 2, 3, 4)
    assert "a new verdict: seeds 0-2 had been declared before" in verdict.why


def finetuned(make: MakeRecord, seed: int = 0, *, wrong: int = 40, facts: Any = None, **parts: Any) -> RunRecord:
    predictions = [(y + 1) % 6 if (i + seed) % 600 < wrong else y for i, y in enumerate(LABELS)]
    fields: dict[str, Any] = {
        "facts": {**CONFUSIONS, "head_seed": seed, **(facts or {})},
        "scores": {"epoch-2/validation": score(LABELS, predictions, classes=6)},
        "rows": {"validation": RowResults(labels=LABELS, predictions=predictions)},
    }
    return make(seed=seed, **(fields | parts))


def test_sound_runs_pass_the_gates(make_record: MakeRecord) -> None:
    assert judged(CLAIM, *(finetuned(make_record, seed) for seed in range(3))).label == "reproduced"


def test_seeds_that_share_a_head_or_all_predictions_are_not_so_many_runs(make_record: MakeRecord) -> None:
    shared = judged(CLAIM, finetuned(make_record, 0), finetuned(make_record, 1, facts={"head_seed": 0}))
    assert shared.label == "deviates"
    assert "2 seeds share 1 head" in shared.why
    first = finetuned(make_record, 0)
    copied = finetuned(make_record, 7, rows=first.rows, scores=first.scores)
    assert "seeds 0 and 7 predict the same for every row" in judged(CLAIM, first, copied).why


def test_scores_that_the_rows_do_not_make_are_not_reproduced(make_record: MakeRecord) -> None:
    verdict = judged(CLAIM, finetuned(make_record, scores=finetuned(make_record, wrong=10).scores))
    assert verdict.label == "deviates"
    assert "its rows hold 560 right of 600, scored 0.9833 of 600" in verdict.why
