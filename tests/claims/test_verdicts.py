"""Every verdict, on records made by hand; what a reader would lose is the difference between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repro.assets.corpus import EMOTION
from repro.assets.recipes import MINILM
from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.judge import Verdict, judge_all
from repro.claims.kinds import SHOWN_PARTS
from repro.claims.seeds import more_seeds_for_majority
from repro.errors import RecordError
from repro.records.schema import RunRecord, Scores

MakeRecord = Callable[..., RunRecord]
CATALOGUE = load_catalogue()
SEEDS = (0.9220, 0.9240, 0.9245, 0.9255, 0.9265)  # as five of the 98 reruns might be
RUNNABLE = ("corpus-facts", "token-facts", "features", "linear", "finetune")


def scored(f1: float, accuracy: float | None = None) -> Scores:
    accuracy = f1 if accuracy is None else accuracy
    return Scores(
        n=2000, accuracy=accuracy, accuracy_interval=(accuracy - 0.01, min(accuracy + 0.01, 1)), weighted_f1=f1,
        weighted_f1_interval=(f1 - 0.01, min(f1 + 0.01, 1)), macro_f1=f1, class_f1=[f1] * 6,
        confusion=[[round(accuracy * 2000), 2000 - round(accuracy * 2000)], [0, 0]], loss=0.2,
    )  # fmt: skip


def judged(claim_id: str, *records: RunRecord) -> Verdict:
    return next(v for v in judge_all(CATALOGUE, records, RUNNABLE) if v.claim.id == claim_id)


def f1_runs(make: MakeRecord, *values: float, **parts: Any) -> list[RunRecord]:
    return [make(seed=i, scores={"epoch-2/validation": scored(f1)}, **parts) for i, f1 in enumerate(values)]


def accuracies(make: MakeRecord, *values: float, experiment: str = "linear", **parts: Any) -> list[RunRecord]:
    name = "logistic/validation"
    return [make(experiment, seed=i, scores={name: scored(value)}, **parts) for i, value in enumerate(values)]


def test_a_value_within_its_tolerance_is_reproduced_and_shows_interval_and_n(make_record: MakeRecord) -> None:
    verdict = judged("linear.accuracy", *accuracies(make_record, 0.6345))
    assert verdict.outcome is Outcome.REPRODUCED
    assert verdict.shown == "0.6345 [0.6245, 0.6445], n = 2,000 rows"
    assert verdict.seeds == (0,)


@pytest.mark.parametrize(("accuracy", "label"), [(0.6085, "deviates (low)"), (0.6500, "deviates (high)")])
def test_too_high_deviates_as_too_low_does(make_record: MakeRecord, accuracy: float, label: str) -> None:
    assert judged("linear.accuracy", *accuracies(make_record, accuracy)).label == label


def test_the_edge_of_a_tolerance_is_not_rounded_in_our_favour(make_record: MakeRecord) -> None:
    assert judged("linear.accuracy", *accuracies(make_record, 0.6275)).outcome is Outcome.DEVIATES
    assert judged("linear.accuracy", *accuracies(make_record, 0.6280)).outcome is Outcome.REPRODUCED


def test_seeds_that_disagree_are_inconclusive_and_say_how_many_more_would_decide(make_record: MakeRecord) -> None:
    even = judged("linear.accuracy", *accuracies(make_record, 0.6330, 0.6000))
    assert (even.outcome, even.seeds) == (Outcome.INCONCLUSIVE, (0, 1))
    assert "the seeds disagree, 1 of 2 hold: they split evenly" in even.why
    most = judged("linear.accuracy", *accuracies(make_record, 0.6330, 0.6340, 0.6000))
    assert "2 of 3 hold: 34 more seeds would decide if that share stays" in most.why


def test_a_share_near_one_half_says_that_not_even_500_seeds_decide() -> None:
    assert more_seeds_for_majority(51, 100) == "not even 500 more seeds would decide if that share stays"


def test_one_seed_of_many_that_misses_does_not_overrule_the_others(make_record: MakeRecord) -> None:
    verdict = judged("linear.accuracy", *accuracies(make_record, *[0.633] * 9, 0.600))
    assert verdict.outcome is Outcome.REPRODUCED
    assert verdict.why.startswith("9 of 10 seeds hold")
    assert judged("linear.accuracy", *accuracies(make_record, *[0.600] * 9, 0.633)).label == "deviates (low)"


def test_seeds_that_all_miss_on_one_side_deviate_and_show_mean_spread_interval_and_n(make_record: MakeRecord) -> None:
    verdict = judged("linear.accuracy", *accuracies(make_record, 0.6110, 0.6100, 0.6090))
    assert verdict.label == "deviates (low)"
    assert verdict.shown == "0.6100 ± 0.0010 [0.6075, 0.6125], n = 3 seeds"


def test_a_row_for_programs_holds_mean_interval_n_and_the_name_of_the_reference(make_record: MakeRecord) -> None:
    row = judged("finetune.f1", *f1_runs(make_record, 0.9240, 0.9250, 0.9260)).as_row()
    low, high = row["interval"]
    # scipy.stats.t.interval(0.95, 2, loc=0.925, scale=0.001 / 3**0.5)
    assert (low, high) == (pytest.approx(0.9225159), pytest.approx(0.9274841))
    assert (row["n"], row["mean"], row["reference"], row["parts"]) == (3, pytest.approx(0.925), "reruns:f1_2", {})
    assert row["version"] == 2
    assert row["basis"] == "distilbert on emotion, fp32, padded"
    alone = judged("finetune.f1", *f1_runs(make_record, 0.9240)).as_row()
    assert (alone["n"], alone["mean"], alone["interval"]) == (1, 0.924, None)
    steps = judged("finetune.steps", make_record()).as_row()
    assert steps["mean"] is None
    assert steps["parts"]["in all"] == {"n": 1, "mean": 500, "sd": None, "interval": None, "reference": None}


def test_another_checkpoint_is_shown_and_never_reproduced(make_record: MakeRecord) -> None:
    twin = {"weights_sha256": MINILM.sha256["model.safetensors"]}
    verdict = judged("finetune.f1", *f1_runs(make_record, 0.9244, recipe=twin))
    assert verdict.outcome is Outcome.NOT_COMPARABLE
    assert verdict.shown.startswith("0.9244")
    assert "weights_sha256 is 53aa51172d14…" in verdict.why


@pytest.mark.parametrize("changed", [{"learning_rate": 1e-4}, {"epochs": 3}, {"batch_size": 32}])
def test_other_hyper_parameters_are_not_comparable(make_record: MakeRecord, changed: dict[str, float]) -> None:
    assert judged("finetune.f1", *f1_runs(make_record, 0.9244, recipe=changed)).outcome is Outcome.NOT_COMPARABLE


def test_another_corpus_under_the_same_name_is_not_comparable(make_record: MakeRecord) -> None:
    train = EMOTION.splits["train"].model_copy(update={"content": "0" * 64})
    other = EMOTION.model_copy(update={"splits": {**EMOTION.splits, "train": train}})
    assert judged("finetune.f1", *f1_runs(make_record, 0.9244, corpus=other)).outcome is Outcome.NOT_COMPARABLE


def test_nothing_run_names_the_command(make_record: MakeRecord) -> None:
    assert judged("finetune.f1").why == "python -m repro run finetune --recipe distilbert --corpus hub"
    assert "no experiment 'tour' yet" in judged("tour.answer").why


def test_a_comparable_run_goes_before_a_newer_one_that_is_not(make_record: MakeRecord) -> None:
    real = f1_runs(make_record, *SEEDS)
    twin = f1_runs(make_record, 0.9999, recipe={"name": "minilm", "revision": "x"}, started="2026-02-01T00:00:00Z")
    assert judged("finetune.f1", *real, *twin).outcome is Outcome.REPRODUCED


def test_the_newest_comparable_run_counts_and_an_older_one_that_differs_is_named(make_record: MakeRecord) -> None:
    old = f1_runs(make_record, *SEEDS, settings={"precision": "bf16"})
    new = f1_runs(make_record, 0.9000, started="2026-02-01T00:00:00Z")
    verdict = judged("finetune.f1", *old, *new)
    assert verdict.label == "deviates (low)"
    assert (
        "but reproduced with 0.9245 ± 0.0017 [0.9224, 0.9266], n = 5 seeds (distilbert on emotion, bf16, padded)"
        in verdict.why
    )


def test_a_run_that_holds_no_value_for_a_claim_is_not_said_to_be_no_run(make_record: MakeRecord) -> None:
    one_epoch = make_record(scores={"epoch-1/validation": scored(0.9)})
    verdict = judged("finetune.f1", one_epoch)
    assert verdict.outcome is Outcome.NOT_COMPARABLE
    assert verdict.why.startswith("what was run holds no value for it")


def test_a_fact_of_another_shape_is_a_record_error_and_no_traceback(make_record: MakeRecord) -> None:
    assert judged("finetune.hardest", make_record(facts={"hardest_rows": None})).outcome is Outcome.NOT_COMPARABLE
    for wrong in ([[1]], 5):
        with pytest.raises(RecordError, match=r"does not hold what finetune\.hardest reads"):
            judged("finetune.hardest", make_record(facts={"hardest_rows": wrong}))


def test_words_in_place_of_numbers_are_a_record_error_and_no_deviation(make_record: MakeRecord) -> None:
    with pytest.raises(RecordError, match=r"corpus\.rows reads from it: expected a number like 16,000, got x"):
        judged("corpus.rows", make_record("corpus-facts", facts={"rows": ["x", 1, 2]}))


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


def test_one_row_more_or_less_is_within_one_row(make_record: MakeRecord) -> None:
    def verdict(accuracy: float) -> Outcome:
        return judged("dummy.accuracy", make_record("linear", scores={"dummy/validation": scored(accuracy)})).outcome

    assert [verdict(a) for a in (0.3515, 0.352, 0.3525)] == [Outcome.BY_CONSTRUCTION] * 3
    assert [verdict(a) for a in (0.3510, 0.3530)] == [Outcome.DEVIATES] * 2


def test_a_sixth_special_token_deviates(make_record: MakeRecord) -> None:
    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}

    def verdict(found: dict[str, int]) -> Outcome:
        facts = {"special_tokens": found, "tokenizer": tokenizer_fact()}
        return judged("tokens.special", make_record("token-facts", facts=facts)).outcome

    assert verdict(special) is Outcome.BY_CONSTRUCTION
    assert verdict({**special, "[NEW]": 104}) is Outcome.DEVIATES


def test_several_figures_show_mean_and_spread_each_and_words_that_differ_stand_side_by_side(
    make_record: MakeRecord,
) -> None:
    steps = [make_record(seed=i, facts={"steps_per_epoch": 250, "steps": n}) for i, n in enumerate((500, 502))]
    assert (
        judged("finetune.steps", *steps).shown == "an epoch 250, in all 501 ± 1.4142 [488.2938, 513.7062], n = 2 seeds"
    )
    taken = [
        make_record(seed=i, facts={"most_often_taken_for": {"love": "joy", "surprise": s}})
        for i, s in enumerate(("joy", "fear"))
    ]
    assert judged("finetune.confusions", *taken).shown == "love joy, surprise joy / fear, n = 2 seeds"


def test_a_seed_counts_once_and_its_newest_record_counts(make_record: MakeRecord) -> None:
    old = accuracies(make_record, 0.6000)[0]
    new = accuracies(make_record, 0.6330, started="2026-02-01T00:00:00Z")[0]
    verdict = judged("linear.accuracy", old, new)
    assert (verdict.outcome, verdict.seeds) == (Outcome.REPRODUCED, (0,))


def test_a_range_that_holds_in_part_deviates_and_tells_which_part(make_record: MakeRecord) -> None:
    rarer = {
        "love than joy": 4.112,
        "love than sadness": 3.578,
        "surprise than joy": 9.374,
        "surprise than sadness": 8.157,
    }
    verdict = judged("corpus.imbalance", make_record("corpus-facts", facts={"times_rarer": rarer}))
    other = make_record("corpus-facts", facts={"times_rarer": {**rarer, "surprise than joy": 99}})
    worse = judged("corpus.imbalance", other)
    assert worse.outcome is Outcome.DEVIATES  # in a part that was not known
    assert verdict.label == "known deviation (low)"
    assert "love than joy: 4.1120" in verdict.why
    assert "2 of 4 parts hold" in verdict.why


def test_a_missing_part_deviates_and_does_not_pass(make_record: MakeRecord) -> None:
    verdict = judged("tokens.ids", make_record("token-facts", facts={"ids": [101], "tokenizer": tokenizer_fact()}))
    assert verdict.outcome is Outcome.DEVIATES
    assert "length: 1, expected 13" in verdict.why


def test_as_many_wrong_parts_as_are_shown_are_not_said_to_be_more(make_record: MakeRecord) -> None:
    def why(wrong: int) -> str:
        words = dict.fromkeys(("sadness", "joy", "love", "anger", "fear", "surprise"), 15)
        words |= dict.fromkeys(list(words)[:wrong], 99)
        return judged("corpus.words", make_record("corpus-facts", facts={"median_words": words})).why

    assert "more)" not in why(SHOWN_PARTS)
    assert "(and 1 more); 2 of 7 parts hold" in why(SHOWN_PARTS + 1)


def test_a_part_that_was_not_measured_is_missing_and_no_record_error(make_record: MakeRecord) -> None:
    words = dict.fromkeys(("sadness", "joy", "love", "anger", "fear"), 15)
    verdict = judged("corpus.words", make_record("corpus-facts", facts={"median_words": words}))
    assert verdict.outcome is Outcome.DEVIATES
    assert "surprise: missing, expected 15" in verdict.why


def test_more_parts_than_reported_deviate(make_record: MakeRecord) -> None:
    ids = [*CATALOGUE.claim_named("tokens.ids").reported, 0]
    verdict = judged("tokens.ids", make_record("token-facts", facts={"ids": ids, "tokenizer": tokenizer_fact()}))
    assert verdict.outcome is Outcome.DEVIATES


def tokenizer_fact() -> dict[str, str]:
    return {"class": "DistilBertTokenizer", "vocabulary_sha256": MINILM.sha256["vocab.txt"]}


def test_confusions_are_one_of_those_reported(make_record: MakeRecord) -> None:
    def verdict(surprise: str) -> Outcome:
        return judged(
            "finetune.confusions", make_record(facts={"most_often_taken_for": {"love": "joy", "surprise": surprise}})
        ).outcome

    assert verdict("fear") is Outcome.REPRODUCED
    assert verdict("joy") is Outcome.REPRODUCED
    assert verdict("anger") is Outcome.DEVIATES


def test_the_hardest_rows_are_held_by_their_overlap(make_record: MakeRecord) -> None:
    reported = CATALOGUE.claim_named("finetune.hardest").reported
    same = judged("finetune.hardest", make_record(facts={"hardest_rows": reported[::-1]}))
    assert (same.outcome, same.shown) == (Outcome.REPRODUCED, "10 of 10 shared")
    other = judged("finetune.hardest", make_record(facts={"hardest_rows": list(range(10))}))
    assert other.label == "deviates (low)"


def test_information_is_shown_and_never_judged(make_record: MakeRecord) -> None:
    verdict = judged("finetune.duration", make_record(seconds={"train": 1.0, "evaluate": 1.0}))
    assert (verdict.label, verdict.shown) == ("for information", "train 1, evaluate 1")


def test_what_a_stand_in_cannot_say_is_not_shown_as_measured(make_record: MakeRecord) -> None:
    minilm = {"name": "minilm", "weights_sha256": MINILM.sha256["model.safetensors"]}
    verdict = judged("finetune.flos", make_record(facts={"total_flos": 5}, recipe=minilm))
    assert (verdict.outcome, verdict.shown) == (Outcome.NOT_COMPARABLE, "")


def test_a_library_fact_that_is_false_is_no_longer_so(make_record: MakeRecord) -> None:
    def label(value: bool) -> str:
        return judged("api.trainer", make_record("api", facts={"trainer_accepts_tokenizer": value})).label

    assert (label(True), label(False)) == ("reproduced", "no longer so")


def test_nothing_but_the_imbalance_is_a_known_deviation() -> None:
    # another may be added in a commit that is older than any record that shows it, and then named here
    assert [claim.id for claim in CATALOGUE.claim if claim.known_deviation] == ["corpus.imbalance"]


def test_public_runs_stand_beside_the_verdict_and_never_make_one(make_record: MakeRecord) -> None:
    verdict = judged("finetune.f1", make_record("linear"))
    assert verdict.outcome is Outcome.NOT_RUN
    assert verdict.corroboration == (
        "131 public reruns: 0.9246 ± 0.0027 (n = 129); reported within their 95 % intervals"
    )
    assert judged("linear.accuracy", make_record("linear")).corroboration == ""


def test_all_claims_have_their_own_verdict_in_the_seminars_order(make_record: MakeRecord) -> None:
    verdicts = judge_all(CATALOGUE, [make_record()], RUNNABLE)
    assert [v.claim.id for v in verdicts] == [claim.id for claim in CATALOGUE.claim]
    assert len({v.claim.id for v in verdicts}) == 51
