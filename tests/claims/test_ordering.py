"""“Beats” on paired predictions: the test itself against scipy, then what one and several seeds conclude."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest, chi2

from repro.assets.recipes import MINILM
from repro.claims.judge import Verdict
from repro.claims.kinds import pair
from repro.records.schema import RowResults, RunRecord
from repro.stats import mcnemar
from repro.training.metrics import score
from tests.claims.builders import judged
from tests.conftest import MakeRecord
from tests.running import cases

LABELS = [i % 6 for i in range(2000)]


def rows(right: int, *, first: int = 0) -> RowResults:
    """Predictions of which `right` rows, from row `first` on, are right."""
    hit = range(first, first + right)
    return RowResults(labels=LABELS, predictions=[y if i in hit else (y + 1) % 6 for i, y in enumerate(LABELS)])


def finetuned(make: MakeRecord, of: RowResults, seed: int = 0, **parts: object) -> RunRecord:
    scores = {"epoch-2/validation": score(of.labels, of.predictions, classes=6)}
    return make(seed=seed, scores=scores, rows={"validation": of}, **parts)


def linear(make: MakeRecord, of: RowResults, **parts: object) -> RunRecord:
    scores = {"logistic/validation": score(of.labels, of.predictions, classes=6)}
    return make("linear", scores=scores, rows={"logistic/validation": of}, **parts)


def beats(*records: RunRecord) -> Verdict:
    return judged("finetune.beats-linear", *records)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (6, 0), (3, 9), (12, 12), (10, 14), (20, 5), (15, 40), (600, 80)])
def test_mcnemar_is_exact_below_25_rows_of_disagreement_and_chi_square_from_there_on(b: int, c: int) -> None:
    p_value = mcnemar(b, c)
    if b + c == 0:
        assert p_value == 1
    elif b + c < 25:
        assert p_value == pytest.approx(binomtest(b, b + c).pvalue)
    else:
        assert p_value == pytest.approx(float(chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1)))


def test_only_the_rows_on_which_the_two_disagree_count() -> None:
    assert pair(rows(1500), rows(1000, first=700)) == (700, 200)
    assert pair(rows(5), RowResults(labels=[0, 1], predictions=[0, 1])) is None
    assert pair(rows(5), RowResults(labels=LABELS, predictions=LABELS[1:])) is None


# 940 from 510: (|510 - 450| - 1)² / 960 = 3.626, of which chi-square with one degree of freedom leaves 0.0569
@pytest.mark.parametrize("case", cases("claims/leads.csv"), ids=lambda case: case["why"] or case["label"])
def test_a_lead_must_be_significant_and_more_than_the_margin(case: dict[str, str], make_record: MakeRecord) -> None:
    right, _, first = case["theirs"].partition(" from ")
    others = RowResults(labels=LABELS[:100], predictions=LABELS[:100])
    theirs = others if right == "100 of 100" else rows(int(right), first=int(first or 0))
    verdict = beats(finetuned(make_record, rows(int(case["ours"]))), linear(make_record, theirs))
    assert verdict.label == case["label"]
    assert case["why"] in verdict.why


def test_seeds_must_agree_or_have_a_majority(make_record: MakeRecord) -> None:
    base = linear(make_record, rows(1270))
    good = [finetuned(make_record, rows(1850 + i), seed=i) for i in range(9)]
    bad = finetuned(make_record, rows(1271), seed=9)
    assert beats(base, *good[:3]).label == "reproduced"
    assert beats(base, *good[:3]).why.startswith("the least of 3 seeds")
    split = beats(base, good[0], good[1], bad)
    assert split.label == "inconclusive"
    assert split.why.startswith("the seeds disagree, 2 of 3 hold; ")
    assert beats(base, *good, bad).label == "reproduced"


def test_an_ordering_compares_within_one_checkpoint_only(make_record: MakeRecord) -> None:
    fine, own = finetuned(make_record, rows(1850)), linear(make_record, rows(1270), settings={"precision": "bf16"})
    assert beats(fine, linear(make_record, rows(1270), recipe={"weights_sha256": "x"})).label == "inconclusive"
    assert beats(fine, own).label == "reproduced"
    assert "no predictions of rows to pair" in beats(fine, own.model_copy(update={"rows": {}})).why


@pytest.mark.parametrize(
    ("name", "sha256", "label"),
    [("tiny", "0" * 64, "not comparable"), ("minilm", MINILM.sha256["model.safetensors"], "holds on the stand-in")],
)
def test_random_weights_are_never_compared_with_the_seminar(
    name: str, sha256: str, label: str, make_record: MakeRecord
) -> None:
    recipe = {"name": name, "weights_sha256": sha256}
    runs = (finetuned(make_record, rows(1850), recipe=recipe), linear(make_record, rows(1270), recipe=recipe))
    assert beats(*runs).label == label
