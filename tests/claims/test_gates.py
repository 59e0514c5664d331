"""A run that is not what it says is never reproduced: each way to be wrong, and a sound run that passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repro.records.schema import RowResults, RunRecord
from repro.training.metrics import score
from tests.claims.builders import epoch, judged

MakeRecord = Callable[..., RunRecord]
CONFUSIONS = {"most_often_taken_for": {"love": "joy", "surprise": "joy"}}
LABELS = [i % 6 for i in range(600)]
CLAIM = "finetune.confusions"


def run(make: MakeRecord, seed: int = 0, *, wrong: int = 40, facts: Any = None, **parts: Any) -> RunRecord:
    predictions = [(y + 1) % 6 if (i + seed) % 600 < wrong else y for i, y in enumerate(LABELS)]
    fields: dict[str, Any] = {
        "facts": {**CONFUSIONS, "head_seed": seed, **(facts or {})},
        "scores": {"epoch-2/validation": score(LABELS, predictions, classes=6)},
        "rows": {"validation": RowResults(labels=LABELS, predictions=predictions)},
    }
    return make(seed=seed, **(fields | parts))


def test_sound_runs_pass_the_gates(make_record: MakeRecord) -> None:
    assert judged(CLAIM, *(run(make_record, seed) for seed in range(3))).label == "reproduced"


@pytest.mark.parametrize(
    ("parts", "label", "why"),
    [
        ({"facts": {"steps_per_epoch": 251}}, "deviates", "steps_per_epoch is 251, the corpus and the recipe"),
        ({"facts": {"steps": 1000}}, "deviates", "steps is 1000, the corpus and the recipe it names make 500"),
        ({"facts": {"steps": None}}, "not comparable", "steps is not recorded, expected 500"),
        *(({"epochs": [epoch(1, loss)]}, "deviates", "training loss of epoch 1") for loss in (0.17, 0.29, 0.70, 1.2)),
        ({"epochs": []}, "not comparable", "no training loss is recorded"),
        ({"settings": {"device": "cuda"}}, "deviates", "it says cuda, and no accelerator was seen"),
    ],
)  # fmt: skip
def test_a_run_that_is_not_what_it_says_is_not_reproduced(
    parts: dict[str, Any], label: str, why: str, make_record: MakeRecord
) -> None:
    verdict = judged(CLAIM, run(make_record, 1, **parts))
    assert verdict.label == label
    assert verdict.why.startswith("no valid run: seed 1: ")
    assert why in verdict.why


def test_seeds_that_share_a_head_or_all_predictions_are_not_so_many_runs(make_record: MakeRecord) -> None:
    shared = judged(CLAIM, run(make_record, 0), run(make_record, 1, facts={"head_seed": 0}))
    assert shared.label == "deviates"
    assert "2 seeds share 1 head" in shared.why
    first = run(make_record, 0)
    copied = run(make_record, 7, rows=first.rows, scores=first.scores)
    assert "seeds 0 and 7 predict the same for every row" in judged(CLAIM, first, copied).why


def test_scores_that_the_rows_do_not_make_are_not_reproduced(make_record: MakeRecord) -> None:
    verdict = judged(CLAIM, run(make_record, scores=run(make_record, wrong=10).scores))
    assert verdict.label == "deviates"
    assert "its rows hold 560 right of 600, scored 0.9833 of 600" in verdict.why
