"""The experiments, end to end on the tiny recipe: what they measure is right, and the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from sklearn.linear_model import LogisticRegression

from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.judge import judge_all
from repro.errors import MissingAssetError, UsageError
from repro.records.schema import Measurements, RunRecord
from repro.records.store import read_records
from repro.sections import SECTIONS, linear, sections_named, token_facts
from repro.sections.context import Context
from repro.sections.linear import SOLVERS, Solver
from repro.sections.runner import open_context, run_sections
from repro.spec import RunSpec
from tests.running import measure


def comparable(record: RunRecord) -> dict[str, object]:
    """What must be the same in two runs: everything but times, memory and provenance."""
    kept = record.model_dump(include={"facts", "scores", "rows", "settings", "recipe", "corpus"})
    kept["facts"].pop("tweets_per_second", None)
    return {**kept, "losses": [epoch.train_loss for epoch in record.epochs]}


def test_every_experiment_twice_with_one_seed_gives_the_same_to_the_last_digit(tiny_context: Context) -> None:
    copy = replace(tiny_context)  # it shares no cache, and no fine-tuned model
    for name in SECTIONS:
        first, second = measure(name, tiny_context), measure(name, copy)
        assert comparable(first) == comparable(second), name


def test_as_published_draws_another_head_for_the_same_seed_and_records_it(tiny_context: Context) -> None:
    context = tiny_context.changed(protocol="as-published")
    runs = [measure("finetune", context) for _ in range(2)]
    heads = [run.facts["head_seed"] for run in runs]
    assert heads[0] != heads[1]
    assert runs[0].epochs[0].train_loss != runs[1].epochs[0].train_loss


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
    hardest = record.facts["hardest_rows"]
    assert isinstance(hardest, list)
    assert losses[hardest[0]] == max(losses)  # type: ignore[index]  # a JSON value, an int here
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


def test_the_converged_fit_reaches_the_lowest_objective_and_the_stopped_one_does_not(tiny_context: Context) -> None:
    states, labels = tiny_context.cls_states["train"].numpy(), tiny_context.corpus.labels("train")
    reached = {}
    for name, solver in {**SOLVERS, "stopped": Solver(solver="lbfgs", max_iter=2)}.items():
        model, converged = linear.fit_logistic(solver, states, labels)
        assert converged is (name != "stopped")
        reached[name] = linear.objective(model, states, labels)
    assert reached["converged"] <= reached["logistic"] < reached["stopped"]


def test_a_fit_that_does_not_converge_says_so(tiny_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "SOLVERS", {"logistic": Solver(solver="lbfgs", max_iter=3)})
    assert measure("linear", tiny_context).facts["converged"] is False


def test_the_books_token_outputs_are_reproduced_with_the_vocabulary_that_distilbert_uses() -> None:
    context = open_context(RunSpec(recipe="minilm", corpus="rehearsal", limit=8))
    verdicts = judge_all(load_catalogue(), [measure("token-facts", context)], list(SECTIONS))
    outcomes = {v.claim.id: v.outcome for v in verdicts if v.claim.id.startswith("tokens.")}
    assert outcomes == {
        "tokens.ids": Outcome.BY_CONSTRUCTION,
        "tokens.pieces": Outcome.BY_CONSTRUCTION,
        "tokens.string": Outcome.BY_CONSTRUCTION,
        "tokens.vocabulary": Outcome.BY_CONSTRUCTION,
        "tokens.special": Outcome.BY_CONSTRUCTION,
        "tokens.inputs": Outcome.BY_CONSTRUCTION,
        "tokens.context": Outcome.NOT_COMPARABLE,  # needs DistilBERT's own tokenizer files
        "tokens.padding": Outcome.NOT_COMPARABLE,  # needs the real corpus
        "tokens.columns": Outcome.NOT_COMPARABLE,
        "tokens.truncation": Outcome.NOT_COMPARABLE,
    }


def test_the_first_rows_leave_as_hashes_and_no_sentence_is_in_any_record(tiny_context: Context, tmp_path: Path) -> None:
    for _record, path in run_sections(sections_named([]), tiny_context, [0, 1], tmp_path):
        text = path.read_text()
        assert not [t for t in tiny_context.corpus.texts("train") if t in text]
    records = read_records(tmp_path)
    assert sorted(r.settings.seed for r in records if r.experiment == "finetune") == [0, 1]
    assert [r.settings.seed for r in records if r.experiment == "linear"] == [0]  # seeds do not matter to it


def test_an_experiment_without_its_asset_is_told_and_the_others_still_run(
    tiny_context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(context: Context, seed: int) -> Measurements:
        raise MissingAssetError("no such asset", "Fetch it.")

    monkeypatch.setattr(token_facts, "SECTION", replace(token_facts.SECTION, run=refuse))
    chosen = sections_named(["corpus-facts", "token-facts", "features"])
    told: list[str] = []
    ran = run_sections(
        chosen, tiny_context, [0], tmp_path, on_missing=lambda e, error: told.append(f"{e.name}: {error}")
    )
    assert [record.experiment for record, _ in ran] == ["corpus-facts", "features"]
    assert told == ["token-facts: no such asset\nFetch it."]
    with pytest.raises(MissingAssetError):  # nobody to tell: it is no silence
        list(run_sections(chosen, tiny_context, [0], tmp_path))


def test_names_run_in_the_seminars_order() -> None:
    assert [e.name for e in sections_named(["finetune", "features"])] == ["features", "finetune"]
    with pytest.raises(UsageError, match="Did you mean 'finetune'"):
        sections_named(["finetun"])
