"""Every verdict, on records made by hand; what a reader would lose is the difference between them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.assets.corpus import EMOTION
from repro.assets.recipes import MINILM
from repro.claims.judge import judge_all
from repro.claims.kinds import SHOWN_PARTS
from repro.claims.seeds import more_seeds_for_majority
from repro.errors import RecordError
from repro.records.schema import RunRecord
from tests.claims.builders import CATALOGUE, judged, scored

MakeRecord = Callable[..., RunRecord]
SEEDS = (0.9220, 0.9240, 0.9245, 0.9255, 0.9265)  # as five of the 98 reruns might be
MINILM_SHA256 = MINILM.sha256["model.safetensors"]
TOKENIZER = {"class": "DistilBertTokenizer", "vocabulary_sha256": MINILM.sha256["vocab.txt"]}
WORDS = dict.fromkeys(("sadness", "joy", "love", "anger", "fear", "surprise"), 15)
BY_CONSTRUCTION = "holds by construction"
LINES = (Path(__file__).parent / "judged_facts.csv").read_text().splitlines()
FACTS = list(csv.DictReader(LINES, delimiter="|", quoting=csv.QUOTE_NONE))  # of a record, and what is said of them


def f1_runs(make: MakeRecord, *values: float, **parts: Any) -> list[RunRecord]:
    return [make(seed=i, scores={"epoch-2/validation": scored(f1)}, **parts) for i, f1 in enumerate(values)]


def accuracies(make: MakeRecord, *values: float, name: str = "logistic", **parts: Any) -> list[RunRecord]:
    return [make("linear", seed=i, scores={f"{name}/validation": scored(v)}, **parts) for i, v in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "label", "said"),
    [
        ((0.6345,), "reproduced", "0.6345 [0.6245, 0.6445], n = 2,000 rows"),
        ((0.6085,), "deviates (low)", ""),
        ((0.6500,), "deviates (high)", ""),
        ((0.6275,), "deviates (low)", ""),  # the edge of the tolerance is not rounded in our favour
        ((0.6280,), "reproduced", ""),
        ((0.6330, 0.6000), "inconclusive", "the seeds disagree, 1 of 2 hold: they split evenly"),
        ((0.6330, 0.6340, 0.6000), "inconclusive", "2 of 3 hold: 34 more seeds would decide if that share stays"),
        ((*[0.633] * 9, 0.600), "reproduced", "9 of 10 seeds hold"),
        ((*[0.600] * 9, 0.633), "deviates (low)", "1 of 10 seeds hold"),
        ((0.6110, 0.6100, 0.6090), "deviates (low)", "0.6100 ± 0.0010 [0.6075, 0.6125], n = 3 seeds"),
    ],
)
def test_a_value_is_judged_seed_by_seed(
    values: tuple[float, ...], label: str, said: str, make_record: MakeRecord
) -> None:
    verdict = judged("linear.accuracy", *accuracies(make_record, *values))
    assert (verdict.label, verdict.seeds) == (label, tuple(range(len(values))))
    assert said in f"{verdict.shown} {verdict.why}"


def test_a_share_near_one_half_says_that_not_even_500_seeds_decide() -> None:
    assert more_seeds_for_majority(51, 100) == "not even 500 more seeds would decide if that share stays"


@pytest.mark.parametrize(
    ("accuracy", "label"),
    [
        (0.3510, "deviates (low)"),
        *((edge, BY_CONSTRUCTION) for edge in (0.3515, 0.352, 0.3525)),
        (0.353, "deviates (high)"),
    ],
)
def test_one_row_more_or_less_is_within_one_row(accuracy: float, label: str, make_record: MakeRecord) -> None:
    assert judged("dummy.accuracy", *accuracies(make_record, accuracy, name="dummy")).label == label


@pytest.mark.parametrize("case", FACTS, ids=lambda case: f"{case['claim']} {case['label']}")
def test_facts_are_judged_part_by_part(case: dict[str, str], make_record: MakeRecord) -> None:
    facts = {"tokenizer": TOKENIZER, **json.loads(case["facts"])}
    verdict = judged(case["claim"], make_record(CATALOGUE.claim_named(case["claim"]).experiment, facts=facts))
    assert verdict.label == case["label"]
    assert case["said"] in f"{verdict.shown} {verdict.why}"


def test_as_many_wrong_parts_as_are_shown_are_not_said_to_be_more(make_record: MakeRecord) -> None:
    def why(wrong: int) -> str:
        words = WORDS | dict.fromkeys(list(WORDS)[:wrong], 99)
        return judged("corpus.words", make_record("corpus-facts", facts={"median_words": words})).why

    assert "more)" not in why(SHOWN_PARTS)
    assert "(and 1 more); 2 of 7 parts hold" in why(SHOWN_PARTS + 1)


@pytest.mark.parametrize(
    ("claim", "facts", "problem"),
    [
        ("finetune.hardest", {"hardest_rows": [[1]]}, r"does not hold what finetune\.hardest reads"),
        ("finetune.hardest", {"hardest_rows": 5}, r"does not hold what finetune\.hardest reads"),
        ("corpus.rows", {"rows": ["x", 1, 2]}, r"corpus\.rows reads from it: expected a number like 16,000, got x"),
    ],
)
def test_a_fact_of_another_shape_is_a_record_error(
    claim: str, facts: dict[str, Any], problem: str, make_record: MakeRecord
) -> None:
    with pytest.raises(RecordError, match=problem):
        judged(claim, make_record(CATALOGUE.claim_named(claim).experiment, facts=facts))


def test_words_where_the_mean_of_figures_is_judged_are_a_record_error(make_record: MakeRecord) -> None:
    class Loose(RunRecord):
        def at(self, path: str) -> Any:
            return "x" if path.endswith("weighted_f1") else super().at(path)

    record = Loose(**make_record(scores={"epoch-2/validation": scored(0.92)}).model_dump())
    with pytest.raises(RecordError, match=r"finetune\.epoch-2 reads from it: expected a number, got x"):
        judged("finetune.f1", record)


def test_an_error_of_our_own_is_no_fault_of_a_record(make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("ours")

    monkeypatch.setattr("repro.claims.judge.judge_kind", broken)
    with pytest.raises(AttributeError, match="ours"):
        judged("linear.accuracy", *accuracies(make_record, 0.633))


def test_a_row_for_programs_holds_mean_interval_n_and_the_name_of_the_reference(make_record: MakeRecord) -> None:
    row = judged("finetune.f1", *f1_runs(make_record, 0.9240, 0.9250, 0.9260)).as_row()
    low, high = row["interval"]
    # scipy.stats.t.interval(0.95, 2, loc=0.925, scale=0.001 / 3**0.5)
    assert (low, high) == (pytest.approx(0.9225159), pytest.approx(0.9274841))
    assert (row["n"], row["mean"], row["reference"], row["parts"]) == (3, pytest.approx(0.925), "reruns:f1_2", {})
    assert (row["version"], row["basis"]) == (2, "distilbert on emotion, fp32, padded")
    alone = judged("finetune.f1", *f1_runs(make_record, 0.9240)).as_row()
    assert (alone["n"], alone["mean"], alone["interval"]) == (1, 0.924, None)
    steps = judged("finetune.steps", make_record()).as_row()
    assert steps["mean"] is None
    assert steps["parts"]["in all"] == {"n": 1, "mean": 500, "sd": None, "interval": None, "reference": None}


OTHER_TRAIN = EMOTION.splits["train"].model_copy(update={"content": "0" * 64})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"recipe": {"weights_sha256": MINILM_SHA256}}, "weights_sha256 is 53aa51172d14…"),
        ({"recipe": {"learning_rate": 1e-4}}, "learning_rate"),
        ({"recipe": {"epochs": 3}}, "epochs"),
        ({"recipe": {"batch_size": 32}}, "batch_size"),
        (
            {"corpus": EMOTION.model_copy(update={"splits": {**EMOTION.splits, "train": OTHER_TRAIN}})},
            "whole and unchanged",
        ),
    ],
)
def test_another_checkpoint_recipe_or_corpus_is_shown_and_never_judged(
    parts: dict[str, Any], said: str, make_record: MakeRecord
) -> None:
    verdict = judged("finetune.f1", *f1_runs(make_record, 0.9244, **parts))
    assert verdict.label == "not comparable"
    assert verdict.shown.startswith("0.9244")
    assert said in verdict.why


def test_what_a_stand_in_cannot_say_is_not_shown_as_measured(make_record: MakeRecord) -> None:
    minilm = {"name": "minilm", "weights_sha256": MINILM_SHA256}
    verdict = judged("finetune.flos", make_record(facts={"total_flos": 5}, recipe=minilm))
    assert (verdict.label, verdict.shown) == ("not comparable", "")


def test_nothing_run_names_the_command() -> None:
    assert judged("finetune.f1").why == "python -m repro run finetune --recipe distilbert --corpus hub"
    tour = next(v for v in judge_all(CATALOGUE, [], []) if v.claim.id == "tour.answer")
    assert "no experiment 'tour' yet" in tour.why


def test_a_comparable_run_goes_before_a_newer_one_that_is_not(make_record: MakeRecord) -> None:
    real = f1_runs(make_record, *SEEDS)
    twin = f1_runs(make_record, 0.9999, recipe={"name": "minilm", "revision": "x"}, started="2026-02-01T00:00:00Z")
    assert judged("finetune.f1", *real, *twin).label == "reproduced"


def test_the_newest_comparable_run_counts_and_an_older_one_that_differs_is_named(make_record: MakeRecord) -> None:
    old = f1_runs(make_record, *SEEDS, settings={"precision": "bf16"})
    new = f1_runs(make_record, 0.9000, started="2026-02-01T00:00:00Z")
    verdict = judged("finetune.f1", *old, *new)
    assert verdict.label == "deviates (low)"
    shown = "0.9245 ± 0.0017 [0.9224, 0.9266], n = 5 seeds (distilbert on emotion, bf16, padded)"
    assert f"but reproduced with {shown}" in verdict.why


@pytest.mark.parametrize(
    ("claim", "fact", "values", "shown"),
    [
        (
            "finetune.steps", "steps", (500, 502),
            "an epoch 250, in all 501 ± 1.4142 [488.2938, 513.7062], n = 2 seeds",
        ),
        (
            "finetune.confusions", "most_often_taken_for",
            ({"love": "joy", "surprise": "joy"}, {"love": "joy", "surprise": "fear"}),
            "love joy, surprise joy / fear, n = 2 seeds",
        ),
    ],
)  # fmt: skip
def test_figures_over_seeds_show_mean_and_spread_and_words_that_differ_stand_side_by_side(
    claim: str, fact: str, values: tuple[Any, ...], shown: str, make_record: MakeRecord
) -> None:
    assert judged(claim, *(make_record(seed=i, facts={fact: v}) for i, v in enumerate(values))).shown == shown


def test_information_is_shown_and_never_judged(make_record: MakeRecord) -> None:
    verdict = judged("finetune.duration", make_record(seconds={"train": 1.0, "evaluate": 1.0}))
    assert (verdict.label, verdict.shown) == ("for information", "train 1, evaluate 1")


def test_nothing_but_the_imbalance_is_a_known_deviation() -> None:
    # another may be added in a commit that is older than any record that shows it, and then named here
    assert [claim.id for claim in CATALOGUE.claim if claim.known_deviation] == ["corpus.imbalance"]


def test_public_runs_stand_beside_the_verdict_and_never_make_one(make_record: MakeRecord) -> None:
    verdict = judged("finetune.f1", make_record("linear"))
    assert verdict.label == "not run"
    assert verdict.corroboration == "131 public reruns: 0.9246 ± 0.0027 (n = 129); reported within their 95 % intervals"
    assert judged("linear.accuracy", make_record("linear")).corroboration == ""


def test_all_claims_have_their_own_verdict_in_the_seminars_order(make_record: MakeRecord) -> None:
    verdicts = judge_all(CATALOGUE, [make_record()], [])
    assert [v.claim.id for v in verdicts] == [claim.id for claim in CATALOGUE.claim]
    assert len({v.claim.id for v in verdicts}) == 51
