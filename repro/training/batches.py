"""A batch of row numbers to the encoder's tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.errors import UsageError
from repro.training.tokens import TokenizedTexts

BATCHINGS = ("padded", "dynamic", "packed")
Batch = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Tokenized texts and their labels (n,)."""

    tokens: TokenizedTexts
    labels: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


def pad_rows(tokens: TokenizedTexts, rows: Tensor, *, width: int | None = None) -> Batch:
    """Gather `rows` (B,) as `input_ids` and `attention_mask`, both (B, T); T is `width` or the longest of the rows."""
    starts = tokens.offsets[rows]
    lengths = tokens.offsets[rows + 1] - starts
    columns = torch.arange(width or int(lengths.max()))  # (T,)
    real = columns < lengths[:, None]  # (B, T)
    places = (starts[:, None] + columns).clamp_(max=len(tokens.ids) - 1)
    ids = torch.where(real, tokens.ids[places], tokens.pad_id)
    return {"input_ids": ids, "attention_mask": real.long()}


def batcher(tokens: TokenizedTexts, batching: str) -> Callable[[Tensor], Batch]:
    """Return the function from row numbers (B,) to a batch.

    `padded` pads every row to the longest text of the split, as the notebook does; `dynamic` to the longest of
    the batch.
    """
    if batching == "padded":
        width = int(tokens.lengths.max())
        return lambda rows: pad_rows(tokens, rows, width=width)
    if batching == "dynamic":
        return lambda rows: pad_rows(tokens, rows)
    raise UsageError(f"--batching {batching} is not built yet", "Use --batching dynamic or padded.")
