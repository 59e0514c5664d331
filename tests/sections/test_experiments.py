"""The sections, end to end on the tiny recipe: what they measure is right, and the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from sklearn.linear_model import LogisticRegression

from repro.claims.claim import Outcome
from repro.commands.run import Tracker, check_tracker
from repro.errors import MissingAssetError, UsageError
from repro.records.schema import LABELS, Measurements, RunRecord
from repro.records.store import read_records
from repro.sections import SECTIONS, linear, sections_named, token_facts
from repro.sections.context import Context
from repro.sections.corpus_facts import five_numbers
from repro.sections.runner import open_context, run_sections
from repro.spec import RunSpec
from tests.running import measure
from tests.sections.conftest import verdicts_on


def comparable(record: RunRecord) -> dict[str, object]:
    """What must be the same in two runs: everything but times, memory and provenance."""
    compared = record.model_dump(include={"facts", "scores", "rows", "settings", "recipe", "corpus"})
    return {**compared, "losses": [epoch.train_loss for epoch in record.epochs]}


def test_every_section_twice_with_one_seed_gives_the_same_to_the_last_digit(tiny_context: Context) -> None:
    copy = replace(tiny_context)  # it shares no cache, and no fine-tuned model
    for name in SECTIONS:
        assert comparable(measure(name, tiny_context)) == comparable(measure(name, copy)), name


def test_as_published_draws_another_head_for_the_same_seed_and_records_it(tiny_context: Context) -> None:
    context = tiny_context.changed(protocol="as-published")
    first, second = (measure("finetune", context) for _ in range(2))
    assert first.facts["head_seed"] != second.facts["head_seed"]
    assert first.epochs[0].train_loss != second.epochs[0].train_loss


def test_extraction_and_the_published_model_are_fp32_whatever_training_uses(tiny_context: Context) -> None:
    states, published = tiny_context.cls_states["train"], measure("published", tiny_context)
    AcceleratorState._reset_state(reset_partial_state=True)
    bf16 = tiny_context.changed(precision="bf16")
    assert bf16.accelerator.mixed_precision == "bf16"
    assert torch.equal(bf16.cls_states["train"], states)
    assert measure("published", bf16).rows == published.rows


def test_fine_tuning_scores_every_epoch_on_validation_and_test_once(tiny_context: Context) -> None:
    record = measure("finetune", tiny_context)
    assert list(record.scores) == ["epoch-1/validation", "epoch-2/validation", "test"]
    assert record.facts["steps"] == 4  # 96 rows in batches of 64: two steps an epoch
    assert [len(record.rows[split].predictions) for split in ("validation", "test")] == [96, 96]
    losses = record.rows["validation"].losses
    assert losses is not None
    assert sum(losses) / 96 == pytest.approx(record.scores["epoch-2/validation"].loss, abs=1e-5)
    assert losses[record.at("facts.hardest_rows")[0]] == max(losses)
    assert record.seconds.keys() == {"tokenize", "load", "train", "evaluate", "test", "save"}
    assert record.epochs[-1].last_learning_rate == pytest.approx(1e-3 / 4)  # 0 is reached after the last step


def test_the_linear_baseline_is_scikit_learns_on_the_same_states(tiny_context: Context) -> None:
    record = measure("linear", tiny_context)
    states, labels = tiny_context.cls_states, tiny_context.corpus.labels
    reference = LogisticRegression(max_iter=3000).fit(states["train"].numpy(), labels("train"))
    expected = reference.score(states["validation"].numpy(), labels("validation"))
    assert record.scores["logistic/validation"].accuracy == expected
    assert record.facts["n_iter"] == reference.n_iter_.tolist()
    assert (record.facts["solver"], record.facts["converged"]) == ("lbfgs", True)


def test_a_fit_that_does_not_converge_says_so(tiny_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "MAX_ITER", 3)
    assert measure("linear", tiny_context).facts["converged"] is False


def test_the_books_token_outputs_are_reproduced_with_the_vocabulary_that_distilbert_uses() -> None:
    context = open_context(RunSpec(recipe="minilm", corpus="rehearsal", limit=8))
    verdicts = verdicts_on(measure("token-facts", context)).items()
    outcomes = {claim.removeprefix("tokens."): v.outcome for claim, v in verdicts if claim.startswith("tokens.")}
    by_construction = ("ids", "pieces", "string", "vocabulary", "special", "inputs")
    others = ("context", "padding", "columns", "truncation")  # need DistilBERT's tokenizer files, or the real corpus
    assert outcomes == dict.fromkeys(by_construction, Outcome.BY_CONSTRUCTION) | dict.fromkeys(
        others, Outcome.NOT_COMPARABLE
    )


def test_the_corpus_is_counted_by_class(tiny_context: Context) -> None:
    record = measure("corpus-facts", tiny_context)
    texts, labels = tiny_context.corpus.texts("train"), tiny_context.corpus.labels("train")
    words = [len(text.split()) for text, label in zip(texts, labels, strict=True) if label == LABELS.index("joy")]
    assert record.facts["rows"] == [96, 96, 96]
    assert record.facts["class_counts"] == {name: labels.count(i) for i, name in enumerate(LABELS)}
    assert record.at("facts.median_words.joy") == float(np.median(words))
    assert record.at("facts.times_rarer.love than joy") == labels.count(1) / labels.count(2)


def test_a_box_is_numpys_quartiles_with_whiskers_at_the_last_value_within_one_and_a_half_boxes() -> None:
    values = [1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 40]
    q1, median, q3 = (float(np.percentile(values, q)) for q in (25, 50, 75))
    inside = [v for v in values if q1 - 1.5 * (q3 - q1) <= v <= q3 + 1.5 * (q3 - q1)]
    assert five_numbers(values) == {"whislo": min(inside), "q1": q1, "med": median, "q3": q3, "whishi": max(inside)}
    assert max(inside) == 8


def test_the_first_rows_leave_as_hashes_and_no_sentence_is_in_any_record(tiny_context: Context, tmp_path: Path) -> None:
    for _record, path in run_sections(sections_named([]), tiny_context, [0, 1], tmp_path):
        text = path.read_text()
        assert not [t for t in tiny_context.corpus.texts("train") if t in text]
    records = read_records(tmp_path)
    assert sorted(r.settings.seed for r in records if r.experiment == "finetune") == [0, 1]
    assert [r.settings.seed for r in records if r.experiment == "linear"] == [0]  # seeds do not matter to it


def test_a_section_without_its_asset_is_named_and_the_others_still_run_in_order(
    tiny_context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(context: Context, seed: int) -> Measurements:
        raise MissingAssetError("no such asset", "Fetch it.")

    monkeypatch.setattr(token_facts, "SECTION", replace(token_facts.SECTION, run=refuse))
    chosen, missing = sections_named(["features", "token-facts", "corpus-facts"]), list[str]()
    ran = run_sections(
        chosen, tiny_context, [0], tmp_path, on_missing=lambda e, error: missing.append(f"{e.name}: {error}")
    )
    assert [record.experiment for record, _ in ran] == ["corpus-facts", "features"]
    assert missing == ["token-facts: no such asset\nFetch it."]
    with pytest.raises(MissingAssetError):  # nobody to tell: it is no silence
        list(run_sections(chosen, tiny_context, [0], tmp_path))


def test_a_tracker_gets_every_epoch_at_its_step_and_is_closed(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context, tracker = replace(tiny_context, track="tensorboard", tracking=tmp_path / "logs"), Mock()
    context.accelerator.trackers.append(tracker)
    for method in ("init_trackers", "log"):
        monkeypatch.setattr(context.accelerator, method, getattr(tracker, method))
    record = measure("finetune", context, 5)
    config = tracker.init_trackers.call_args.kwargs["config"]
    assert (config["learning_rate"], config["seed"], config["corpus"]) == (1e-3, 5, "rehearsal")
    assert context.accelerator.log_with == ["tensorboard"]
    assert context.accelerator.logging_dir == str(tmp_path / "logs")
    logged = [(call.kwargs["step"], call.args[0]) for call in tracker.log.call_args_list]
    assert [(step, values["train_loss"], values["validation_f1"]) for step, values in logged] == [
        (2 * e.epoch, e.train_loss, record.scores[f"epoch-{e.epoch}/validation"].weighted_f1) for e in record.epochs
    ]
    tracker.finish.assert_called_once_with()
    assert context.accelerator.trackers == []


def test_a_tracker_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.commands.run.find_spec", lambda name: None)
    check_tracker(Tracker.NONE)
    with pytest.raises(UsageError, match="pip install tensorboard"):
        check_tracker(Tracker.TENSORBOARD)
