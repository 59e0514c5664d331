"""A batch of row numbers to the encoder's tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from repro.training.tokens import TokenizedTexts

FILL = 32  # a row of pieces is filled up to a multiple of it: few shapes, so kernels and memory are used again
Batch = dict[str, Any]  # tensors by the encoder's argument names, and the Packing


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Tokenized texts and their labels (n,)."""

    tokens: TokenizedTexts
    labels: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Where B texts lie in one row of N pieces, and how to lay them out for attention, T wide.

    `starts` (B,) is the place of each [CLS]; `places` (B, T) the place of each piece of a text, any where `real`
    (B, T) is false; `cells` (N,) the cell of the flattened (B, T) layout that each piece has.
    """

    starts: Tensor
    places: Tensor
    real: Tensor
    cells: Tensor

    def pad(self, states: Tensor) -> Tensor:
        """Lay (1, heads, N, D) out by text: (B, heads, T, D)."""
        rows: Tensor = states.transpose(1, 2)[0].index_select(0, self.places.flatten())  # (B * T, heads, D)
        return rows.view(*self.places.shape, *rows.shape[1:]).transpose(1, 2)

    def unpad(self, states: Tensor) -> Tensor:
        """Bring (B, heads, T, D) back into one row, heads last but one: (1, N, heads, D)."""
        return states.transpose(1, 2).flatten(0, 1).index_select(0, self.cells).unsqueeze(0)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Packing:
        """Return the same on another device."""
        return Packing(**{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)})


def pad_rows(tokens: TokenizedTexts, rows: Tensor, *, width: int | None = None) -> Batch:
    """Gather `rows` (B,) as `input_ids` and `attention_mask`, both (B, T); T is `width` or the longest of the rows."""
    starts = tokens.offsets[rows]
    lengths = tokens.offsets[rows + 1] - starts
    columns = torch.arange(width or int(lengths.max()))  # (T,)
    real = columns < lengths[:, None]  # (B, T)
    places = (starts[:, None] + columns).clamp_(max=len(tokens.ids) - 1)
    ids = torch.where(real, tokens.ids[places], tokens.pad_id)
    return {"input_ids": ids, "attention_mask": real.long()}


def pack_rows(tokens: TokenizedTexts, rows: Tensor) -> Batch:
    """Gather `rows` (B,) end to end: `input_ids` and `position_ids` (1, N), positions restarting at each text.

    N is a multiple of FILL. The filler behind the last text belongs to none: nothing attends to it or reads it.
    """
    sources = tokens.offsets[rows]
    lengths = tokens.offsets[rows + 1] - sources
    starts = lengths.cumsum(0) - lengths  # (B,)
    positions = torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)  # (N,)
    columns = torch.arange(int(lengths.max()))  # (T,)
    ids = tokens.ids[sources.repeat_interleave(lengths) + positions]
    cells = (torch.arange(len(rows)) * len(columns)).repeat_interleave(lengths) + positions
    filler = (0, -len(ids) % FILL)
    return {
        "input_ids": functional.pad(ids, filler, value=tokens.pad_id)[None],
        "position_ids": functional.pad(positions, filler)[None],
        "packing": Packing(
            starts=starts,
            places=(starts[:, None] + columns).clamp_(max=len(positions) - 1),
            real=columns < lengths[:, None],
            cells=functional.pad(cells, filler),
        ),
    }


def batcher(tokens: TokenizedTexts, batching: str) -> Callable[[Tensor], Batch]:
    """Return the function from row numbers (B,) to a batch.

    `padded` pads every row to the longest text of the split, as the notebook does; `dynamic` to the longest of
    the batch; `packed` pads nothing, and needs an encoder that `enable_packing` has seen.
    """
    width = int(tokens.lengths.max())
    makers: dict[str, Callable[[Tensor], Batch]] = {
        "padded": lambda rows: pad_rows(tokens, rows, width=width),
        "dynamic": lambda rows: pad_rows(tokens, rows),
        "packed": lambda rows: pack_rows(tokens, rows),
    }
    return makers[batching]
