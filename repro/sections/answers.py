"""The answer in a context from start and end logits, as transformers' question-answering pipeline gave it.

The pipeline is gone since transformers 5; this is its algorithm, after 4.57's question_answering.py with its
defaults: windows of at most 384 tokens with 128 in common, answers of at most 15 tokens, whole words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from repro.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WINDOW, STRIDE, LONGEST_ANSWER = 384, 128, 15
CANDIDATES = 12  # spans a window of which those over the same words are added up: 2 * top_k + 10, for a top_k of 1
MASKED = -10_000.0
Logits = NDArray[np.float32]


class Span(NamedTuple):
    """First and last token of a span, both included, and its score in [0, 1]."""

    first: int
    last: int
    score: float


def best_spans(start: Logits, end: Logits, context: NDArray[np.bool_], cls: int | None = None) -> list[Span]:
    """Return the best spans of one window, best first.

    `start` and `end` (T,) are its logits, `context` (T,) marks the tokens an answer may have. A span's score is the
    softmax probability of its start times that of its end, both over the context's tokens and `cls`, the place of
    [CLS]: it takes part in the softmax, for "no answer", and is in no span.
    """
    from scipy.special import softmax

    scored = context | (np.arange(len(context)) == cls)
    first, last = (softmax(np.where(scored, logits.astype(np.float64), MASKED)) * context for logits in (start, end))
    scores = np.tril(np.triu(np.outer(first, last)), LONGEST_ANSWER - 1)  # (T, T): last not before first, nor too far
    order = np.argsort(-scores, axis=None, kind="stable")[:CANDIDATES]
    places = zip(*np.unravel_index(order, scores.shape), strict=True)
    return [Span(int(i), int(j), float(scores[i, j])) for i, j in places if scores[i, j]]


def find_answer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: str, context: str
) -> dict[str, str | int | float]:
    """Return `answer`, its `start` and `end` in the context (characters, end excluded) and its `score`."""
    import torch

    encoded = tokenizer(
        question, context, truncation="only_second", max_length=min(tokenizer.model_max_length, WINDOW),
        stride=STRIDE, return_overflowing_tokens=True,
    )  # fmt: skip
    answers: dict[str, dict[str, Any]] = {}  # by the answer in lower case: spans over the same words count together
    for window, ids in enumerate(encoded["input_ids"]):
        inputs = {name: torch.tensor([encoded[name][window]]).to(model.device) for name in tokenizer.model_input_names}
        with torch.inference_mode():
            outputs = model(**inputs)
        start_logits, end_logits = (outputs[f"{side}_logits"][0].float().cpu().numpy() for side in ("start", "end"))
        in_context = np.array([sequence == 1 for sequence in encoded.sequence_ids(window)])
        cls = ids.index(tokenizer.cls_token_id) if tokenizer.cls_token_id in ids else None
        for span in best_spans(start_logits, end_logits, in_context, cls):
            start, end = _characters(encoded.encodings[window], span)
            answer = answers.setdefault(
                context[start:end].lower(), {"answer": context[start:end], "start": start, "end": end, "score": 0.0}
            )
            answer["score"] += span.score
    if not answers:
        raise UsageError("the text holds nothing that an answer could be", "Give a text with words of that tokenizer.")
    return max(answers.values(), key=lambda answer: float(answer["score"]))


def _characters(encoding: Any, span: Span) -> tuple[int, int]:
    """Return the characters of the whole words that the span touches; its own where the tokenizer knows no words."""
    first, last = encoding.token_to_word(span.first), encoding.token_to_word(span.last)
    if first is None or last is None:
        return encoding.offsets[span.first][0], encoding.offsets[span.last][1]
    return encoding.word_to_chars(first, 1)[0], encoding.word_to_chars(last, 1)[1]
