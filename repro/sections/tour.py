"""The tour of six tasks that opens the seminar, on the letter and question of the notebook that is being verified.

Sentiment, entities and generation go through the pipelines that transformers 5 still has. Question answering,
summarization and translation, whose pipelines are gone, follow transformers 4.57's with their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from repro.assets.checkpoints import Checkpoint, file_sha256, locate_checkpoint
from repro.assets.loading import load_model, load_tokenizer
from repro.assets.notebook import TourTexts, tour_texts
from repro.assets.recipes import TINY, TOUR
from repro.display import Table
from repro.errors import CheckpointError, MissingAssetError, UsageError, without_private_parts
from repro.records.schema import Measurements, RunRecord
from repro.sections.context import Context, Section
from repro.training.progress import waiting

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MOST_SHOWN = 12  # groups of entities; the seminar's letter has ten
SEED = 42  # the notebook's set_seed
MOST_TOKENS = 200  # prompt and continuation together
WINDOW, LONGEST_ANSWER = 384, 15  # tokens
CANDIDATES = 12  # spans of which those over the same words are added up: 2 * top_k + 10, for a top_k of 1
MASKED = -10_000.0
Logits = NDArray[np.float32]
Answer = dict[str, Any]


def run(context: Context, _seed: int) -> Measurements:
    """Run each task whose checkpoint is here; another seed changes nothing, the one task that draws has the notebook's.

    A task whose checkpoint is missing or unusable stands under `not_run` with the reason; MissingAssetError where
    that is so of all six, or where the letter is missing.
    """
    texts = tour_texts(context.seminar, rehearsal=context.corpus.stamp.name == "rehearsal")
    facts: dict[str, Any] = {"texts_sha256": dict(texts.sha256()), "checkpoints": {}, "not_run": {}}
    for task, pinned in TOUR.items():
        try:
            checkpoint = _locate(context, task)
            with context.timed(task), waiting(f"tour, {task}"):
                facts[task] = TASKS[task](checkpoint.folder, texts, context.accelerator.device)
        except CheckpointError as error:
            facts["not_run"][task] = without_private_parts(str(error))
        else:
            facts["checkpoints"][task] = {
                "repository": pinned.checkpoint if context.recipe.name != TINY.name else checkpoint.source,
                "revision": pinned.revision,
                "weights_sha256": checkpoint.weights_sha256,
                "source": checkpoint.source,
            }
    not_run = facts["not_run"] or facts.pop("not_run")
    if len(not_run) == len(TOUR):
        what, _, remedy = next(iter(not_run.values())).partition("\n")
        raise MissingAssetError(f"none of the {len(TOUR)} checkpoints of the tour can be used: {what}; …", remedy)
    return Measurements(facts=facts)


def _locate(context: Context, task: str) -> Checkpoint:
    if context.recipe.name != TINY.name:
        return locate_checkpoint(TOUR[task], context.checkpoints)
    from repro.assets.tiny import tiny_folder

    folder = tiny_folder(task)
    weights_sha256 = file_sha256(folder / "model.safetensors")
    return Checkpoint(folder=folder, weights_sha256=weights_sha256, source="built on the spot")


def tables(runs: Sequence[RunRecord]) -> dict[str, Table]:
    """Return the newest record's tasks that ran, each with its checkpoint and what it gave."""
    rows = [
        (task, checkpoint["repository"], _in_words(record.at(f"facts.{task}")))
        for record in runs[-1:]
        for task, checkpoint in record.at("facts.checkpoints").items()
    ]
    return {"tour": Table(("task", "checkpoint", "result"), tuple(rows))}


def _in_words(result: Any) -> str:
    if isinstance(result, list):
        more = f"; … {len(result)} in all" if len(result) > MOST_SHOWN else ""
        return "; ".join(map(_in_words, result[:MOST_SHOWN])) + more
    values = {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in result.items()}
    return ", ".join(f"{name} {value}" for name, value in values.items())


def sentiment(folder: Path, texts: TourTexts, device: torch.device) -> JsonValue:
    """Return the letter's polarity: `label` and its `score`."""
    classifier = _pipeline("text-classification", "AutoModelForSequenceClassification", folder, device)
    return dict(classifier(texts.letter)[0])


def entities(folder: Path, texts: TourTexts, device: torch.device) -> JsonValue:
    """Return the letter's named entities, neighbouring tokens of one kind as a group, with scores and places."""
    tagger = _pipeline("ner", "AutoModelForTokenClassification", folder, device, aggregation_strategy="simple")
    return [{**entity, "score": float(entity["score"])} for entity in tagger(texts.letter)]


def answer(folder: Path, texts: TourTexts, device: torch.device) -> JsonValue:
    """Return the answer to the question: `answer`, `start`, `end` (excluded) and `score`."""
    model = load_model("AutoModelForQuestionAnswering", folder, device)
    return dict(find_answer(model, load_tokenizer(folder), texts.question, texts.letter))


def summary(folder: Path, texts: TourTexts, device: torch.device) -> JsonValue:
    """Return the letter's summary of 20 to 45 tokens: `text`, its `first_sentence` and its number of `tokens`."""
    text, tokens = _rewrite(folder, texts.letter, device, min_length=20, max_length=45)
    return {"text": text, "first_sentence": first_sentence(text), "tokens": tokens}


def translation(folder: Path, texts: TourTexts, device: torch.device) -> JsonValue:
    """Return the letter in Dutch: `text` and its number of `tokens`, at least 100."""
    text, tokens = _rewrite(folder, texts.letter, device, min_length=100)
    return {"text": text, "tokens": tokens}


def generation(folder: Path, texts: TourTexts, device: torch.device) -> JsonValue:
    """Return the prompt's `continuation`, drawn with seed 42, and whether the output `continues_prompt`."""
    import torch

    generator = _pipeline("text-generation", "AutoModelForCausalLM", folder, device)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)  # what set_seed(42) does for sampling, and no later draw of ours is touched by it
        drawn = generator(texts.prompt, max_length=MOST_TOKENS, truncation=True, return_tensors=True)
    ids = drawn[0]["generated_token_ids"]
    given = generator.tokenizer(texts.prompt, truncation=True, max_length=MOST_TOKENS)["input_ids"]
    continuation = generator.tokenizer.decode(ids[len(given) :], skip_special_tokens=True)
    continues = ids[: len(given)] == given and bool(continuation.strip())
    return {"continues_prompt": continues, "continuation": continuation, "tokens": len(ids)}


TASKS: dict[str, Callable[..., JsonValue]] = {
    task.__name__: task for task in (sentiment, entities, answer, summary, translation, generation)
}


def first_sentence(text: str) -> str:
    """Return the text up to its first full stop, question or exclamation mark before a space or the end."""
    match = re.match(r"\s*(.+?[.!?])(?=\s|$)", text, re.DOTALL)
    return match[1] if match else text.strip()


def best_spans(
    start: Logits, end: Logits, context: NDArray[np.bool_], cls: int | None = None
) -> list[tuple[int, int, float]]:
    """Return first token, last token and score of the best spans, best first.

    `start` and `end` (T,) are the logits, `context` (T,) marks the tokens an answer may have. A span's score is the
    softmax probability of its start times that of its end, both over the context's tokens and `cls`, the place of
    [CLS]: it takes part in the softmax, for "no answer", and is in no span.
    """
    from scipy.special import softmax

    scored = context | (np.arange(len(context)) == cls)
    first, last = (softmax(np.where(scored, logits.astype(np.float64), MASKED)) * context for logits in (start, end))
    scores = np.tril(np.triu(np.outer(first, last)), LONGEST_ANSWER - 1)  # (T, T): last not before first, nor too far
    order = np.argsort(-scores, axis=None, kind="stable")[:CANDIDATES]
    places = zip(*np.unravel_index(order, scores.shape), strict=True)
    return [(int(i), int(j), float(scores[i, j])) for i, j in places if scores[i, j]]


def find_answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: str, context: str) -> Answer:
    """Return `answer`, its `start` and `end` in the context (characters, end excluded) and its `score`.

    A context longer than the model reads is cut.
    """
    import torch

    longest = min(tokenizer.model_max_length, WINDOW)
    inputs = tokenizer(question, context, truncation="only_second", max_length=longest, return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs.to(model.device))
    start_logits, end_logits = (outputs[f"{side}_logits"][0].float().cpu().numpy() for side in ("start", "end"))
    in_context = np.array([sequence == 1 for sequence in inputs.sequence_ids(0)])
    ids, encoding = inputs["input_ids"][0].tolist(), inputs.encodings[0]
    cls = ids.index(tokenizer.cls_token_id) if tokenizer.cls_token_id in ids else None
    answers: dict[str, Answer] = {}  # by the answer in lower case: spans over the same words count together
    for first, last, score in best_spans(start_logits, end_logits, in_context, cls):
        start, end = encoding.offsets[first][0], encoding.offsets[last][1]
        words = encoding.token_to_word(first), encoding.token_to_word(last)
        if None not in words:  # the whole words that the span touches
            start, end = encoding.word_to_chars(words[0], 1)[0], encoding.word_to_chars(words[1], 1)[1]
        answer: Answer = {"answer": context[start:end], "start": start, "end": end, "score": 0.0}
        answers.setdefault(context[start:end].lower(), answer)["score"] += score
    if not answers:
        raise UsageError("the text holds nothing that an answer could be", "Give a text with words of that tokenizer.")
    return max(answers.values(), key=lambda answer: float(answer["score"]))


def _pipeline(task: str, kind: str, folder: Path, device: torch.device, **options: Any) -> Any:
    from transformers import pipeline

    make: Any = pipeline
    model = load_model(kind, folder, device)
    return make(task, model=model, tokenizer=load_tokenizer(folder), device=device, **options)


def _rewrite(folder: Path, letter: str, device: torch.device, **lengths: int) -> tuple[str, int]:
    """Return what the encoder-decoder makes of the letter, and its number of tokens, the decoder's start counted.

    Beams and what else `generate` goes by are the checkpoint's own, which both of the tour's state.
    """
    import torch

    tokenizer, model = load_tokenizer(folder), load_model("AutoModelForSeq2SeqLM", folder, device)
    prefix = getattr(model.config, "prefix", None) or ""
    inputs = tokenizer(prefix + letter, return_tensors="pt", return_token_type_ids=False).to(device)
    generate: Any = model.generate
    with torch.inference_mode():
        ids = generate(**inputs, **lengths)[0]
    # clean_up_tokenization_spaces=True as in the notebook; transformers 5 no longer heeds it for BPE tokenizers
    text = tokenizer.clean_up_tokenization(str(tokenizer.decode(ids, skip_special_tokens=True)))
    return text, len(ids)


SECTION = Section.of(
    globals(),
    heading="Tour",
    what="six tasks on a letter",
    pretrained=False,  # it has checkpoints of its own, which stand among its facts
    reads=lambda context, seed: context.seminar,
)
