"""What single sections add to the report: right against scikit-learn, and drawn from the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.judge import judge_all
from repro.records.schema import LABELS, RowResults, RunRecord
from repro.report.gallery import draw_figures
from repro.sections.classified import published_matrix
from repro.sections.projection import hexagons
from repro.training.metrics import confusion_rates, most_often_taken_for, score
from tests.claims.builders import epoch

MakeRecord = Callable[..., RunRecord]
STEPS = {"steps_per_epoch": 250, "steps": 500}  # of a run that is what it says
RNG = np.random.default_rng(3)
TRUE = RNG.integers(0, 6, 200).tolist()
SAID = np.where(RNG.random(200) < 0.8, TRUE, RNG.integers(0, 6, 200)).tolist()


@pytest.fixture
def finetuned(make_record: MakeRecord) -> RunRecord:
    losses = [float(n) for n in RNG.permutation(200)]
    scored = score(TRUE, SAID, classes=6)
    return make_record(
        "finetune",
        scores={"epoch-2/validation": scored},
        facts={"confusion_rates": confusion_rates(scored.confusion)},
        rows={"validation": RowResults(labels=TRUE, predictions=SAID, losses=losses)},
    )


@pytest.mark.parametrize(
    ("experiment", "claim", "swapped"),
    [
        ("linear", "linear.confusions", [("anger", "joy"), ("fear", "joy"), ("love", "sadness"), ("surprise", "fear")]),
        ("finetune", "finetune.confusions", [("love", "sadness"), ("surprise", "anger")]),
    ],
)
def test_the_confusion_claims_hold_on_the_published_matrix_and_each_part_can_fail(
    experiment: str, claim: str, swapped: list[tuple[str, str]], make_record: MakeRecord
) -> None:
    published = published_matrix(experiment)
    assert published is not None

    def outcome(rates: Any) -> Outcome:
        facts = {"most_often_taken_for": most_often_taken_for(rates, LABELS), "confusion_rates": rates, **STEPS}
        record = make_record(experiment, facts=facts, epochs=[epoch(1, 0.83)] if experiment == "finetune" else [])
        verdicts = judge_all(load_catalogue(), [record], [experiment])
        return next(v.outcome for v in verdicts if v.claim.id == claim)

    assert outcome([list(row) for row in published.reported]) is Outcome.REPRODUCED
    for true, other in swapped:
        rates = [list(row) for row in published.reported]
        rates[LABELS.index(true)][LABELS.index(other)] = 0.5
        assert outcome(rates) is Outcome.DEVIATES, (true, other)


def test_the_rates_are_scikit_learns_row_normalised_matrix(finetuned: RunRecord) -> None:
    expected = confusion_matrix(TRUE, SAID, normalize="true")
    assert np.array(finetuned.facts["confusion_rates"]) == pytest.approx(expected)


def test_every_section_is_drawn_from_its_record_with_what_it_shows_in_words(
    make_record: MakeRecord, finetuned: RunRecord, tmp_path: Path
) -> None:
    box = {"whislo": 2.0, "q1": 10.0, "med": 16.0, "q3": 24.0, "whishi": 45.0}
    points = RNG.normal(size=(200, 2))
    records = [
        make_record(
            "corpus-facts", facts={"class_counts": dict.fromkeys(LABELS, 7), "words": dict.fromkeys(LABELS, box)}
        ),
        make_record(
            "projection", facts={"density": hexagons(points, np.array(TRUE)), "nearest_class": {"love": "joy"}}
        ),
        finetuned,
    ]
    pictures = draw_figures(records, tmp_path)
    names = [picture.name for picture in pictures]
    assert names == [
        "frequencies-emotion",
        "words-emotion",
        "projection-emotion-distilbert-fp32-padded-seed0",
        "confusion-emotion-distilbert-fp32-padded-epoch-2-validation",
    ]
    drawn = {path.stem: path.read_text() for path in tmp_path.glob("*.svg")}
    assert sorted(drawn) == sorted(names)
    assert "Frequency of classes, training split of emotion, n = 42" in drawn["frequencies-emotion"]
    assert "Median words of each class: anger 16" in drawn["words-emotion"]
    assert "Nearest class: love to joy" in drawn[names[2]]
    assert [picture.section for picture in pictures] == ["Dataset", "Dataset", "Projection", "Fine-tuning"]
    assert [picture.broad for picture in pictures] == [False, False, False, True]
    assert all(picture.source.startswith("data:image/svg+xml;base64,") for picture in pictures)
