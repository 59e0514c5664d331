"""Texts to word pieces: one flat array of ids with offsets, so that any batch of rows is a gather."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNK = 10_000  # texts handed to the tokenizer at once, which bounds what its encodings hold in memory


@dataclass(frozen=True, kw_only=True)
class TokenizedTexts:
    """n texts as `ids` (total pieces,) int32, row i at `offsets[i]:offsets[i + 1]`, and how many were `truncated`."""

    ids: Tensor
    offsets: Tensor
    pad_id: int
    truncated: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """Word pieces of each text, special tokens counted: (n,)."""
        return self.offsets.diff()


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Tokenized texts and their labels (n,)."""

    tokens: TokenizedTexts
    labels: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, max_length: int) -> TokenizedTexts:
    """Tokenize every text with its special tokens, cut at `max_length` pieces; an empty text is [CLS] [SEP].

    `texts` may be a column of a data set in Arrow: CHUNK of them are Python objects at once.
    """
    ids, lengths, truncated = array("i"), array("q", [0]), 0
    for start in range(0, len(texts), CHUNK):
        encoded = tokenizer(
            list(texts[start : start + CHUNK]), truncation=True, max_length=max_length,
            return_attention_mask=False, return_token_type_ids=False,
        )  # fmt: skip
        for row in encoded["input_ids"]:
            ids.extend(row)
            lengths.append(len(row))
        truncated += sum(bool(encoding.overflowing) for encoding in encoded.encodings or ())
    return TokenizedTexts(
        ids=torch.from_numpy(np.asarray(ids)),
        offsets=torch.from_numpy(np.cumsum(np.asarray(lengths))),
        pad_id=int(tokenizer.pad_token_id),
        truncated=truncated,
    )
