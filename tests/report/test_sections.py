"""What single sections add to the report: right against scikit-learn, and drawn from the record."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.cohorts import cohorts_of
from repro.claims.judge import judge_all
from repro.display import BARS, Drawing, panels
from repro.records.schema import LABELS
from repro.report.webpage import save_picture
from repro.sections.classified import figures, published_matrix
from repro.training.metrics import most_often_taken_for, score
from tests.conftest import MakeRecord

TRUE = np.random.default_rng(3).integers(0, 6, 200).tolist()


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
        facts = {"most_often_taken_for": most_often_taken_for(rates, LABELS), "confusion_rates": rates}
        record = make_record(experiment, facts=facts)
        verdicts = judge_all(load_catalogue(), [record], [experiment])
        return next(v.outcome for v in verdicts if v.claim.id == claim)

    assert outcome([list(row) for row in published.reported]) is Outcome.REPRODUCED
    for true, other in swapped:
        rates = [list(row) for row in published.reported]
        rates[LABELS.index(true)][LABELS.index(other)] = 0.5
        assert outcome(rates) is Outcome.DEVIATES, (true, other)


def test_confusions_are_the_seeds_mean_beside_the_reported_and_the_difference(make_record: MakeRecord) -> None:
    right, wrong = score(TRUE, TRUE, classes=6), score(TRUE, [0] * len(TRUE), classes=6)
    runs = [make_record(scores={"epoch-2/validation": scores}, seed=i) for i, scores in enumerate((right, wrong))]
    (cohort,) = cohorts_of(runs)
    (drawing,) = figures(cohort)
    assert "recall of each class: sadness 1.00, joy 0.50, love 0.50" in drawing.description
    reported, measured, difference = (panel.get_title() for panel in drawing.figure.axes)
    assert (reported, difference) == ("reported (b-206)", "measured minus reported")
    assert measured.startswith("measured, mean of 2 seeds")
    differences = [text.get_text() for text in drawing.figure.axes[2].texts]
    claim = published_matrix("finetune")
    assert claim is not None and differences[0] == f"{1 - claim.reported[0][0]:+.2f}"


def test_an_inline_figure_has_no_style_and_ids_of_its_own(tmp_path: Path) -> None:
    figure, (axes,) = panels(3, 3)
    axes.plot([1, 2], [1, 2], color=BARS)
    axes.set_title('<b style="color: red">&amp;', fontsize=9)
    drawing = Drawing(name="toy", figure=figure, title="A toy", description='"Nothing"')
    svg = save_picture(drawing, "Toys", tmp_path).svg
    assert svg.startswith('<svg role="img" aria-label="&#34;Nothing&#34;" width="288" height="288" fill="currentColor"')
    assert "<style" not in svg and re.search(r"<[^>]+ style=", svg) is None
    assert "&lt;b style=" in svg  # text stays text
    assert all(name.startswith("toy-") for name in re.findall(r'(?: id="|href="#|url\(#)([^")]+)', svg))
    assert "var(--fill)" in svg and BARS not in svg
