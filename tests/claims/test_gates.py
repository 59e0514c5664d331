"""A run that is not what it says is never reproduced: each way to be wrong, and a sound run that passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.judge import Verdict, judge_all
from repro.records.schema import RowResults, RunRecord
from repro.training.metrics import score

MakeRecord = Callable[..., RunRecord]
CONFUSIONS = {"most_often_taken_for": {"love": "joy", "surprise": "joy"}}
LABELS = [i % 6 for i in range(600)]


def run(
    make: MakeRecord, seed: int = 0, *, wrong: int = 40, facts: dict[str, Any] | None = None, **parts: Any
) -> RunRecord:
    found = [(y + 1) % 6 if (i + seed) % 600 < wrong else y for i, y in enumerate(LABELS)]
    fields: dict[str, Any] = {
        "facts": {**CONFUSIONS, "head_seed": seed, **(facts or {})},
        "scores": {"epoch-2/validation": score(LABELS, found, classes=6)},
        "rows": {"validation": RowResults(labels=LABELS, predictions=found)},
    }
    return make(seed=seed, **(fields | parts))


def judged(*records: RunRecord) -> Verdict:
    return next(v for v in judge_all(load_catalogue(), records, []) if v.claim.id == "finetune.confusions")


def test_sound_runs_pass_the_gates(make_record: MakeRecord) -> None:
    assert judged(*(run(make_record, seed) for seed in range(3))).outcome is Outcome.REPRODUCED


@pytest.mark.parametrize(
    ("facts", "outcome", "told"),
    [
        (
            {"steps_per_epoch": 251},
            Outcome.DEVIATES,
            "steps_per_epoch is 251, the corpus and the recipe it names make 250",
        ),
        ({"steps": 1000}, Outcome.DEVIATES, "steps is 1000, the corpus and the recipe it names make 500"),
        ({"steps": None}, Outcome.NOT_COMPARABLE, "steps is not recorded, expected 500"),
    ],
)
def test_steps_must_be_those_of_corpus_and_recipe(
    facts: dict[str, Any], outcome: Outcome, told: str, make_record: MakeRecord
) -> None:
    verdict = judged(run(make_record, facts=facts))
    assert verdict.outcome is outcome
    assert told in verdict.why


@pytest.mark.parametrize("loss", [0.17, 0.29, 0.70, 1.2])
def test_a_training_that_did_not_start_fresh_is_not_reproduced(loss: float, make_record: MakeRecord) -> None:
    epochs = [make_record().epochs[0].model_copy(update={"train_loss": loss}), make_record().epochs[1]]
    verdict = judged(run(make_record), run(make_record, 1, epochs=epochs))
    assert verdict.outcome is Outcome.DEVIATES
    assert "seed 1: its training loss of epoch 1" in verdict.why
    assert judged(run(make_record, epochs=[])).outcome is Outcome.NOT_COMPARABLE


def test_seeds_that_share_a_head_or_all_predictions_are_not_so_many_runs(make_record: MakeRecord) -> None:
    shared = judged(run(make_record, 0), run(make_record, 1, facts={"head_seed": 0}))
    assert shared.outcome is Outcome.DEVIATES
    assert "2 seeds share 1 head" in shared.why
    first = run(make_record, 0)
    copied = run(make_record, 7, rows=first.rows, scores=first.scores)
    assert "seeds 0 and 7 predict the same for every row" in judged(first, copied).why


def test_a_gpu_run_that_saw_no_gpu_is_not_reproduced(make_record: MakeRecord) -> None:
    verdict = judged(run(make_record, settings={"device": "cuda"}))
    assert verdict.outcome is Outcome.DEVIATES
    assert "no accelerator was seen" in verdict.why


def test_scores_that_the_rows_do_not_make_are_not_reproduced(make_record: MakeRecord) -> None:
    better = run(make_record, wrong=10).scores
    verdict = judged(run(make_record, scores=better))
    assert verdict.outcome is Outcome.DEVIATES
    assert "its rows hold 560 right of 600, scored 0.9833 of 600" in verdict.why
