"""“Beats” on paired predictions: the test itself against scipy, then what one and several seeds conclude."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scipy.stats import binomtest, chi2

from repro.assets.recipes import MINILM
from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.judge import Verdict, judge_all
from repro.claims.seeds import Paired, pair
from repro.records.schema import RowResults, RunRecord
from repro.training.metrics import score

MakeRecord = Callable[..., RunRecord]
LABELS = [i % 6 for i in range(2000)]


def rows(right: int, *, first: int = 0) -> RowResults:
    """Predictions of which `right` rows, from row `first` on, are right."""
    hit = range(first, first + right)
    return RowResults(labels=LABELS, predictions=[y if i in hit else (y + 1) % 6 for i, y in enumerate(LABELS)])


def finetuned(make: MakeRecord, found: RowResults, seed: int = 0, **parts: object) -> RunRecord:
    scores = {"epoch-2/validation": score(found.labels, found.predictions, classes=6)}
    return make(seed=seed, scores=scores, rows={"validation": found}, **parts)


def linear(make: MakeRecord, found: RowResults, **parts: object) -> RunRecord:
    scores = {"logistic/validation": score(found.labels, found.predictions, classes=6)}
    return make("linear", scores=scores, rows={"logistic/validation": found}, **parts)


def judged(*records: RunRecord) -> Verdict:
    verdicts = judge_all(load_catalogue(), records, ["finetune", "linear"])
    return next(v for v in verdicts if v.claim.id == "finetune.beats-linear")


@pytest.mark.parametrize(("b", "c"), [(0, 0), (6, 0), (3, 9), (12, 12), (10, 14), (20, 5), (15, 40), (600, 80)])
def test_mcnemar_is_exact_below_25_rows_of_disagreement_and_chi_square_from_there_on(b: int, c: int) -> None:
    found = Paired(n=2000, only_first=b, only_second=c).p_value
    if b + c == 0:
        assert found == 1
    elif b + c < 25:
        assert found == pytest.approx(binomtest(b, b + c).pvalue)
    else:
        assert found == pytest.approx(float(chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1)))


def test_only_the_rows_on_which_the_two_disagree_count() -> None:
    found = pair(rows(1500), rows(1000, first=700))
    assert found == Paired(n=2000, only_first=700, only_second=200)
    assert found.lead == pytest.approx(0.25)
    assert pair(rows(5), RowResults(labels=[0, 1], predictions=[0, 1])) is None


def test_ahead_significantly_and_by_more_than_the_margin_is_reproduced_and_behind_deviates(
    make_record: MakeRecord,
) -> None:
    ahead = judged(finetuned(make_record, rows(1850)), linear(make_record, rows(1270)))
    assert ahead.outcome is Outcome.REPRODUCED
    assert "right alone 580 to 0, p < 0.0001; ahead by 0.2900, margin 0.0300" in ahead.why
    behind = judged(finetuned(make_record, rows(1200)), linear(make_record, rows(1270)))
    assert behind.label == "deviates (low)"


def test_a_lead_that_chance_explains_is_inconclusive(
    make_record: MakeRecord,
) -> None:
    # (|510 - 450| - 1)² / 960 = 3.626, of which chi-square with one degree of freedom leaves 0.0569
    verdict = judged(finetuned(make_record, rows(1000)), linear(make_record, rows(940, first=510)))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "p = 0.0569; ahead by 0.0300" in verdict.why
    assert verdict.why.endswith("not significant, and more seeds add no rows")


def test_a_significant_lead_within_the_margin_is_inconclusive(make_record: MakeRecord) -> None:
    verdict = judged(finetuned(make_record, rows(1320)), linear(make_record, rows(1270)))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no more than the margin, and more seeds add no rows" in verdict.why


def test_seeds_must_agree_or_have_a_majority(make_record: MakeRecord) -> None:
    base = linear(make_record, rows(1270))
    good = [finetuned(make_record, rows(1850 + i), seed=i) for i in range(9)]
    bad = finetuned(make_record, rows(1271), seed=9)
    assert judged(base, *good[:3]).outcome is Outcome.REPRODUCED
    assert judged(base, *good[:3]).why.startswith("the least of 3 seeds")
    split = judged(base, good[0], good[1], bad)
    assert split.outcome is Outcome.INCONCLUSIVE
    assert "2 of 3 seeds hold: 34 more seeds would decide" in split.why
    assert judged(base, *good, bad).outcome is Outcome.REPRODUCED


def test_an_ordering_compares_within_one_checkpoint_and_the_same_rows_only(make_record: MakeRecord) -> None:
    fine = finetuned(make_record, rows(1850))
    other = linear(make_record, rows(1270), recipe={"weights_sha256": "x"})
    assert judged(fine, other).outcome is Outcome.INCONCLUSIVE
    own = linear(make_record, rows(1270), settings={"precision": "bf16"})
    assert judged(fine, own).outcome is Outcome.REPRODUCED
    short = RowResults(labels=LABELS[:100], predictions=LABELS[:100])
    assert judged(fine, linear(make_record, short)).outcome is Outcome.NOT_COMPARABLE
    bare = own.model_copy(update={"rows": {}})
    assert "no predictions of rows to pair" in judged(fine, bare).why


def test_random_weights_are_never_held_against_the_seminar(make_record: MakeRecord) -> None:
    tiny = {"name": "tiny", "weights_sha256": "0" * 64}
    runs = (finetuned(make_record, rows(700), recipe=tiny), linear(make_record, rows(720), recipe=tiny))
    assert judged(*runs).outcome is Outcome.NOT_COMPARABLE
    stand_in = {"name": "minilm", "weights_sha256": MINILM.sha256["model.safetensors"]}
    runs = (finetuned(make_record, rows(1850), recipe=stand_in), linear(make_record, rows(1270), recipe=stand_in))
    assert judged(*runs).outcome is Outcome.STAND_IN
