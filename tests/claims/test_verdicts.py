"""Every verdict, on records made by hand; what a reader would lose is the difference between them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from repro.assets.corpus import EMOTION
from repro.assets.recipes import MINILM
from repro.claims.claim import Claim
from repro.claims.judge import judge_all
from repro.claims.kinds import SHOWN_PARTS
from repro.errors import RecordError
from repro.records.schema import RunRecord
from tests.claims.builders import CATALOGUE, judged, scored
from tests.conftest import MakeRecord, epoch
from tests.running import cases

MINILM_SHA256 = MINILM.sha256["model.safetensors"]
TOKENIZER = {"class": "DistilBertTokenizer", "vocabulary_sha256": MINILM.sha256["vocab.txt"]}
WORDS = dict.fromkeys(("sadness", "joy", "love", "anger", "fear", "surprise"), 15)
CASES = cases("claims/verdicts.csv")


def run(make: MakeRecord, claim: Claim, seed: int, parts: Any) -> RunRecord:
    """A run of the claim's experiment: a score is of what the claim reads; facts come with MiniLM's tokenizer."""
    parts = {"seed": seed, **(parts if isinstance(parts, dict) else {"score": parts})}
    if "score" in parts:
        parts["scores"] = {claim.addresses[0].split(".")[1]: scored(parts.pop("score"))}
    if "facts" in parts:
        parts["facts"] = {"tokenizer": TOKENIZER, **parts["facts"]}
    if "epochs" in parts:
        parts["epochs"] = [epoch(number, loss) for number, loss in enumerate(parts["epochs"], 1)]
    return make(claim.experiment, **parts)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['claim']} {case['label']}")
def test_a_verdict_says_what_the_runs_show(case: dict[str, str], make_record: MakeRecord) -> None:
    claim, runs = CATALOGUE.claim_named(case["claim"]), json.loads(case["runs"].replace("MINILM", MINILM_SHA256))
    records = [run(make_record, claim, seed, parts) for seed, parts in enumerate(runs)]
    if case["label"] == "refused":
        with pytest.raises(RecordError, match=re.escape(case["said"])):
            judged(claim.id, *records)
        return
    verdict = judged(claim.id, *records)
    assert verdict.label == case["label"]
    assert all(said in f"{verdict.shown} {verdict.why}" for said in case["said"].split(" … "))
    if all(isinstance(parts, float) for parts in runs):
        assert verdict.seeds == tuple(range(len(runs)))


def test_as_many_wrong_parts_as_are_shown_are_not_said_to_be_more(make_record: MakeRecord) -> None:
    def why(wrong: int) -> str:
        words = WORDS | dict.fromkeys(list(WORDS)[:wrong], 99)
        return judged("corpus.words", make_record("corpus-facts", facts={"median_words": words})).why

    assert "more)" not in why(SHOWN_PARTS)
    assert "(and 1 more); 2 of 7 parts hold" in why(SHOWN_PARTS + 1)


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
        judged("linear.accuracy", run(make_record, CATALOGUE.claim_named("linear.accuracy"), 0, 0.633))


def test_a_row_for_programs_holds_mean_interval_n_and_the_name_of_the_reference(make_record: MakeRecord) -> None:
    f1 = CATALOGUE.claim_named("finetune.f1")
    row = judged(f1.id, *(run(make_record, f1, i, score) for i, score in enumerate((0.9240, 0.9250, 0.9260)))).as_row()
    low, high = row["interval"]
    # scipy.stats.t.interval(0.95, 2, loc=0.925, scale=0.001 / 3**0.5)
    assert (low, high) == (pytest.approx(0.9225159), pytest.approx(0.9274841))
    assert (row["n"], row["mean"], row["reference"], row["parts"]) == (3, pytest.approx(0.925), "reruns:f1_2", {})
    assert (row["version"], row["basis"]) == (2, "distilbert on emotion, fp32, padded")
    alone = judged(f1.id, run(make_record, f1, 0, 0.9240)).as_row()
    assert (alone["n"], alone["mean"], alone["interval"]) == (1, 0.924, None)
    steps = judged("finetune.steps", make_record()).as_row()
    assert steps["mean"] is None
    assert steps["parts"]["in all"] == {"n": 1, "mean": 500, "sd": None, "interval": None, "reference": None}


def test_another_corpus_is_shown_and_never_judged(make_record: MakeRecord) -> None:
    other = EMOTION.splits["train"].model_copy(update={"content": "0" * 64})
    corpus = EMOTION.model_copy(update={"splits": {**EMOTION.splits, "train": other}})
    verdict = judged("finetune.f1", make_record(corpus=corpus, scores={"epoch-2/validation": scored(0.9244)}))
    assert (verdict.label, verdict.shown[:6]) == ("not comparable", "0.9244")
    assert "whole and unchanged" in verdict.why


def test_what_a_stand_in_cannot_say_is_not_shown_as_measured(make_record: MakeRecord) -> None:
    minilm = {"name": "minilm", "weights_sha256": MINILM_SHA256}
    verdict = judged("finetune.flos", make_record(facts={"total_flos": 5}, recipe=minilm))
    assert (verdict.label, verdict.shown) == ("not comparable", "")


def test_a_claim_of_a_section_that_is_not_there_yet_says_so() -> None:
    tour = next(v for v in judge_all(CATALOGUE, [], []) if v.claim.id == "tour.answer")
    assert "no experiment 'tour' yet" in tour.why


def test_known_deviations_are_those_that_were_marked_before_a_record_showed_them() -> None:
    # another may be added in a commit that is older than any record that shows it, and then named here
    assert [claim.id for claim in CATALOGUE.claim if claim.known_deviation] == [
        "corpus.features", "corpus.imbalance", "finetune.best-model", "inference.bars", "api.requirements",
    ]  # fmt: skip


def test_public_runs_stand_beside_the_verdict_and_never_make_one(make_record: MakeRecord) -> None:
    verdict = judged("finetune.f1", make_record("linear"))
    assert verdict.label == "not run"
    assert verdict.corroboration == "public reruns: 0.9246 ± 0.0027 (n = 129); reported: in their 95 % range"
    assert judged("linear.accuracy", make_record("linear")).corroboration == ""


def test_all_claims_have_their_own_verdict_in_the_seminars_order(make_record: MakeRecord) -> None:
    verdicts = judge_all(CATALOGUE, [make_record()], [])
    assert [v.claim.id for v in verdicts] == [claim.id for claim in CATALOGUE.claim]
    assert len({v.claim.id for v in verdicts}) == 58
