"""The tour: answers as the old pipeline found them, and six whole tasks on tiny models of the right architectures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.loading import load_model, load_tokenizer
from repro.assets.notebook import LETTER, QUESTION, REPLY
from repro.assets.recipes import MINILM, TOUR
from repro.assets.tiny import build_tiny_tour, tiny_folder
from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.errors import CheckpointError, MissingAssetError, UsageError
from repro.notebooks.repair import repaired
from repro.records.schema import RunRecord
from repro.sections.context import Context
from repro.sections.tour import LONGEST_ANSWER, TASKS, best_spans, find_answer, first_sentence, tables
from tests.running import measure
from tests.sections.conftest import Measured, verdicts_on

CPU = torch.device("cpu")


def brute_force(start: Any, end: Any, context: Any, cls: int | None) -> tuple[int, int, float]:
    """Every span in turn, by the definition: softmax over context and [CLS], product, at most 15 tokens."""
    part = [i for i in range(len(context)) if context[i] or i == cls]
    p, q = (dict(zip(part, np.exp(logits[part]) / np.exp(logits[part]).sum(), strict=True)) for logits in (start, end))
    inside = [i for i in part if context[i]]
    score, first, last = max((p[i] * q[j], i, j) for i in inside for j in inside if i <= j < i + LONGEST_ANSWER)
    return first, last, float(score)


@settings(max_examples=60)
@given(st.integers(2, 60), st.integers(0, 20), st.booleans(), st.integers(0, 2**32 - 1), st.floats(0.1, 8))
def test_the_best_span_is_that_of_every_span_tried_in_turn(
    length: int, question: int, has_cls: bool, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    total = 1 + question + length
    start, end = (rng.normal(scale=scale, size=total) for _ in range(2))
    context = np.arange(total) > question
    cls = 0 if has_cls else None
    logits = start.astype(np.float32), end.astype(np.float32)
    spans, (first, last, score) = best_spans(*logits, context, cls), brute_force(*logits, context, cls)
    assert spans[0][:2] == (first, last)
    assert spans[0][2] == pytest.approx(score, rel=1e-5)
    assert spans == sorted(spans, key=lambda span: -span[2])
    for begins, ends, share in spans:
        assert question < begins <= ends < begins + LONGEST_ANSWER
        assert 0 <= share <= 1


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A question answerer of random weights on bert-base-uncased's real word pieces."""
    folder = tmp_path_factory.mktemp("reader")
    pieces = load_tokenizer(locate_checkpoint(MINILM, use_hub=False).folder, MINILM)
    build_tiny_tour("answer", folder, tokenizer=pieces)
    return folder


@pytest.mark.parametrize(
    "context", [LETTER, "one", "Naïve “résumé” for £5!\n東京 🙂 Łódź", LETTER * 6, "  spaced   out  ", "x" * 10_000]
)
def test_an_answer_is_a_piece_of_the_context_in_whole_words(reader: Path, context: str) -> None:
    tokenizer, model = load_tokenizer(reader), load_model("AutoModelForQuestionAnswering", reader)
    answer = find_answer(model, tokenizer, QUESTION, context)
    start, end = answer["start"], answer["end"]
    assert 0 <= start < end <= len(context)
    assert answer["answer"] == context[start:end]
    assert 0 < answer["score"] <= 1 + 1e-6
    assert not (start and context[start - 1].isalnum() and context[start].isascii() and context[start].isalnum())
    with pytest.raises(UsageError, match="nothing that an answer could be"):
        find_answer(model, tokenizer, QUESTION, "\u200b \n")


@pytest.mark.parametrize("context", ["one", "one two"])
def test_the_repaired_notebook_answers_from_a_context_of_few_words(context: str) -> None:
    folder, names = tiny_folder("answer"), dict[str, Any]()
    (cell,) = repaired([("code", f'reader = pipeline("question-answering", model={str(folder)!r})')])
    exec(cell.source, names)  # noqa: S102 (the fix's own)
    answer = names["reader"](question=QUESTION, context=context)
    assert context[answer["start"] : answer["end"]] == answer["answer"] != ""


@pytest.fixture
def record(measured: Measured) -> RunRecord:
    return measured.records["tour", 0]


def test_every_task_runs_on_its_architecture_and_gives_what_the_pipelines_gave(record: RunRecord) -> None:
    facts: dict[str, Any] = dict(record.facts)
    assert facts["sentiment"].keys() == {"label", "score"}
    for entity in facts["entities"]:
        assert entity.keys() == {"entity_group", "score", "word", "start", "end"}
        assert LETTER[entity["start"] : entity["end"]].lower().startswith(entity["word"].lstrip("#")[:1])
    answer = facts["answer"]
    assert answer["answer"] == LETTER[answer["start"] : answer["end"]]
    assert 20 <= facts["summary"]["tokens"] <= 45
    assert facts["summary"]["text"].strip().startswith(facts["summary"]["first_sentence"])
    assert facts["translation"]["tokens"] >= 100
    assert facts["generation"]["continues_prompt"] is True
    assert facts["generation"]["tokens"] <= 200
    assert REPLY not in facts["generation"]["continuation"]
    assert "not_run" not in facts
    assert [row[0] for row in tables([record])["tour"].rows] == list(TASKS) == list(TOUR)


def test_a_rehearsal_reproduces_nothing_even_with_the_seminars_checkpoints_names(record: RunRecord) -> None:
    named = {task: {"repository": pinned.checkpoint, "revision": pinned.revision} for task, pinned in TOUR.items()}
    for facts in (record.facts, {**record.facts, "checkpoints": named}):
        verdicts = verdicts_on(record.model_copy(update={"facts": facts})).items()
        outcomes = {verdict.outcome for claim, verdict in verdicts if claim.startswith("tour.")}
        assert outcomes == {Outcome.NOT_COMPARABLE}  # it is another letter


def test_the_books_outputs_on_the_seminars_letter_and_checkpoints_are_reproduced(record: RunRecord) -> None:
    catalogue = load_catalogue()
    claims = {c.id.removeprefix("tour."): c.reported for c in catalogue.claim if c.id.startswith("tour.")}
    hashes = {name.rpartition(".")[2]: value for name, (value,) in catalogue.needs["letter"].holds.items()}
    facts = {
        **{task: claims[task] for task in ("sentiment", "entities", "answer")},
        "summary": {"first_sentence": claims["summary"]},
        "generation": {"continues_prompt": True},
        "texts_sha256": hashes,
        "checkpoints": {t: {"repository": p.checkpoint, "revision": p.revision} for t, p in TOUR.items()},
    }
    verdicts = verdicts_on(record.model_copy(update={"facts": facts})).items()
    outcomes = [verdict.outcome for claim, verdict in verdicts if claim.startswith("tour.") and verdict.shown]
    assert outcomes == [Outcome.REPRODUCED] * 5  # the translation has no value here and is for information
    assert catalogue.claim_named("tour.answer").needs == ("letter", "tour-answer")


def test_one_checkpoint_alone_runs_and_the_others_are_named(tiny_context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "distilbert-base-uncased-finetuned-sst-2-english"
    build_tiny_tour("sentiment", folder)
    config = json.loads((folder / "config.json").read_text())
    recipe = replace(tiny_context.recipe, name="other")  # the tiny one has no checkpoints to look for
    context = replace(tiny_context, recipe=recipe, checkpoints=tmp_path)
    with pytest.raises(MissingAssetError, match=r"none of the 6 .* dim is 32, distilbert/.* has 768"):
        measure("tour", context)  # it says itself that it is another
    (folder / "config.json").write_text(json.dumps({**config, **TOUR["sentiment"].config}))
    with pytest.raises(MissingAssetError, match="cannot be used"):
        measure("tour", context)  # and shapes do not lie


def test_a_run_without_some_checkpoints_holds_what_ran_and_why_the_rest_did_not(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise CheckpointError("it is not here", "Fetch it.")

    monkeypatch.setitem(TASKS, "answer", refuse)
    record = measure("tour", tiny_context)
    assert record.facts["not_run"] == {"answer": "it is not here\nFetch it."}
    assert "answer" not in record.facts
    assert "translation" in record.facts


def test_a_head_that_the_checkpoint_lacks_is_never_drawn_at_random(tmp_path: Path) -> None:
    headless = locate_checkpoint(MINILM, use_hub=False).folder
    with pytest.raises(CheckpointError, match=r"it has no weights for classifier\.bias and others"):
        load_model("AutoModelForSequenceClassification", headless)
    with pytest.raises(CheckpointError, match="cannot be used"):
        load_model("AutoModelForSeq2SeqLM", headless)
    (tmp_path / "source.spm").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"cannot be used|needs the package sentencepiece"):
        load_tokenizer(tmp_path)


def test_a_first_sentence_ends_where_a_reader_ends_it() -> None:
    assert first_sentence(" It cost 3.50 in all. Then more.") == "It cost 3.50 in all."
    assert first_sentence("Really?! Yes.") == "Really?!"
    assert [first_sentence(text) for text in ("no end", "")] == ["no end", ""]
