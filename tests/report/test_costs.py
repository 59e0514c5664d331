"""What F1 costs: the classifiers of one machine together, McNemar's p as scipy has it, a figure that says it."""

from __future__ import annotations

from scipy.stats import chi2

from repro.records.schema import RowResults, RunRecord
from repro.report.costs import cost_drawings, cost_table, costs_of
from repro.training.metrics import score
from tests.conftest import MakeRecord

TRUE = [0, 1] * 100
WRONG = {"dummy": range(1, 200, 2), "logistic": range(40), "bag-of-words": range(30, 60)}


def classified(make_record: MakeRecord, section: str, *names: str, **options: object) -> RunRecord:
    rows = {
        f"{name}/validation": RowResults(labels=TRUE, predictions=[t ^ (i in WRONG[name]) for i, t in enumerate(TRUE)])
        for name in names
    }
    scores = {name: score(TRUE, row.predictions, classes=6) for name, row in rows.items()}
    return make_record(section, rows=rows, scores=scores, **options)


def test_classifiers_of_one_machine_are_compared_by_f1_seconds_and_mcnemar(make_record: MakeRecord) -> None:
    linear = classified(make_record, "linear", "dummy", "logistic", seconds={"dummy": 0.1, "extract": 9, "logistic": 3})
    words = classified(make_record, "baselines", "bag-of-words", "bag-of-words", seconds={"bag-of-words": 2})
    ((title, costs),) = costs_of([linear, words])
    assert costs["[CLS] states"].seconds == 12
    assert costs["bag of words"].f1 == words.scores["bag-of-words/validation"].weighted_f1
    row = next(row for row in cost_table([(title, costs)]).rows if row[1] == "bag of words")
    only_words, only_states = 30, 20  # rows 0 to 29 and 40 to 59
    p = chi2.sf((abs(only_words - only_states) - 1) ** 2 / (only_words + only_states), 1)
    assert row[5] == f"[CLS] states 30:20, p = {p:.4f}"
    (drawing,) = cost_drawings([(title, costs)])
    assert "bag of words 0." in drawing.description


def test_classifiers_of_two_machines_are_not_compared(make_record: MakeRecord) -> None:
    linear = classified(make_record, "linear", "dummy", "logistic")
    assert costs_of([linear]) == []
