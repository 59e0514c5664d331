"""Real lengths without the tweets: how many tweets of the corpus have how many word pieces.

`lengths.json` is a fact of a committed token-facts record (a test holds that), so that the speed of a step can be
measured on real lengths where the corpus is not at hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from repro.training.data import Examples, TokenizedTexts

FIRST_WORD = 1_000  # ids below are special or unused
CLS, SEP = 101, 102


def tweet_lengths() -> list[int]:
    """Word pieces of each of the 16,000 training tweets, special tokens counted, in a fixed random order."""
    counts = json.loads(Path(__file__).with_name("lengths.json").read_text())["train"]
    sorted_lengths = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    order = torch.randperm(len(sorted_lengths), generator=torch.Generator().manual_seed(0))
    return [int(length) for length in sorted_lengths[order]]


def random_examples(lengths: list[int], *, vocabulary: int = 30_522) -> Examples:
    """Random word pieces of these lengths, between [CLS] and [SEP], with random labels."""
    random = torch.Generator().manual_seed(0)
    sizes = torch.tensor(lengths)
    ends = sizes.cumsum(0)
    ids = torch.randint(min(FIRST_WORD, vocabulary // 2), vocabulary, (int(ends[-1]),), generator=random)
    ids[ends - sizes], ids[ends - 1] = CLS % vocabulary, SEP % vocabulary
    tokens = TokenizedTexts(ids=ids, offsets=torch.nn.functional.pad(ends, (1, 0)), pad_id=0, truncated=0)
    return Examples(tokens=tokens, labels=torch.randint(0, 6, (len(lengths),), generator=random))
