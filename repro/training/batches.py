"""A batch of row numbers to the encoder's tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from repro.training.tokens import TokenizedTexts

FILL = 32  # a row of pieces is filled up to a multiple of it: few shapes, so kernels and memory are used again
GROUPS = 4  # attention pads a text to the longest of its group of like texts, not of the batch
Batch = dict[str, Any]  # tensors by the encoder's argument names, and the Packing


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Tokenized texts and their labels (n,)."""

    tokens: TokenizedTexts
    labels: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Texts of like length laid out side by side for attention, T wide.

    `texts` (b,) are their numbers in the batch; `places` (b, T) the place of each of their pieces in the row, any
    where `real` (b, T) is false.
    """

    texts: Tensor
    places: Tensor
    real: Tensor

    def lay_out(self, states: Tensor) -> Tensor:
        """Lay (N, heads, D) out by text: (b, heads, T, D)."""
        pieces = states.index_select(0, self.places.flatten())  # (b * T, heads, D)
        return pieces.view(*self.places.shape, *pieces.shape[1:]).transpose(1, 2)


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Where B texts lie in one row of N pieces.

    `starts` (B,) is the place of each [CLS]; `bounds` (B + 1,) int32 has the end of the last text too. `pieces` are
    those of all texts, the filler not counted, `longest` the most of one text. `groups` partition the texts by
    length; laid out one behind the other, text i of the batch is number `order[i]` in them and piece j of the row
    cell number `cells[j]`.
    """

    starts: Tensor
    bounds: Tensor
    pieces: int
    longest: int
    groups: tuple[Group, ...]
    order: Tensor
    cells: Tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Packing:
        """Return the same on another device."""
        moved: Packing = _to_device(self, device, non_blocking)
        return moved


def _to_device(part: Any, device: torch.device, non_blocking: bool) -> Any:
    if isinstance(part, Tensor):
        return part.to(device, non_blocking=non_blocking)
    if isinstance(part, tuple):
        return tuple(_to_device(one, device, non_blocking) for one in part)
    if is_dataclass(part) and not isinstance(part, type):
        return type(part)(**{f.name: _to_device(getattr(part, f.name), device, non_blocking) for f in fields(part)})
    return part


def pad_rows(tokens: TokenizedTexts, rows: Tensor, *, width: int | None = None) -> Batch:
    """Gather `rows` (B,) as `input_ids` and `attention_mask`, both (B, T); T is `width` or the longest of the rows."""
    starts = tokens.offsets[rows]
    lengths = tokens.offsets[rows + 1] - starts
    columns = torch.arange(width or int(lengths.max()))  # (T,)
    real = columns < lengths[:, None]  # (B, T)
    places = (starts[:, None] + columns).clamp_(max=len(tokens.ids) - 1)
    ids = torch.where(real, tokens.ids[places].long(), tokens.pad_id)
    return {"input_ids": ids, "attention_mask": real.long()}


def pack_rows(tokens: TokenizedTexts, rows: Tensor, *, groups: int = GROUPS) -> Batch:
    """Gather `rows` (B,) end to end: `input_ids` and `position_ids` (1, N), positions restarting at each text.

    N is a multiple of FILL. The filler behind the last text belongs to none: nothing attends to it or reads it.
    """
    sources = tokens.offsets[rows]
    lengths = tokens.offsets[rows + 1] - sources
    bounds = functional.pad(lengths.cumsum(0), (1, 0))  # (B + 1,)
    positions = torch.arange(int(bounds[-1])) - bounds[:-1].repeat_interleave(lengths)  # (N,)
    ids = tokens.ids[sources.repeat_interleave(lengths) + positions].long()
    filler = (0, -len(ids) % FILL)
    return {
        "input_ids": functional.pad(ids, filler, value=tokens.pad_id)[None],
        "position_ids": functional.pad(positions, filler)[None],
        "packing": _pack(lengths, bounds, positions, filler, groups),
    }


def _pack(lengths: Tensor, bounds: Tensor, positions: Tensor, filler: tuple[int, int], groups: int) -> Packing:
    starts, by_length = bounds[:-1], lengths.argsort(stable=True)
    made, first_cells, taken = [], torch.empty_like(starts), 0
    for texts in by_length.tensor_split(min(groups, len(lengths))):
        columns = torch.arange(int(lengths[texts[-1]]))  # (T,)
        first_cells[texts] = taken + torch.arange(len(texts)) * len(columns)
        taken += len(texts) * len(columns)
        made.append(
            Group(
                texts=texts,
                places=(starts[texts, None] + columns).clamp_(max=len(positions) - 1),
                real=columns < lengths[texts, None],
            )
        )
    return Packing(
        starts=starts,
        bounds=bounds.int(),
        pieces=len(positions),
        longest=int(lengths.max()),
        groups=tuple(made),
        order=by_length.argsort(),
        cells=functional.pad(first_cells.repeat_interleave(lengths) + positions, filler),
    )


def batcher(tokens: TokenizedTexts, batching: str, *, groups: int = GROUPS) -> Callable[[Tensor], Batch]:
    """Return the function from row numbers (B,) to a batch.

    `padded` pads every row to the longest text of the split, as the notebook does; `dynamic` to the longest of
    the batch; `packed` pads nothing, and needs an encoder that `enable_packing` has seen.
    """
    width = int(tokens.lengths.max())
    makers: dict[str, Callable[[Tensor], Batch]] = {
        "padded": lambda rows: pad_rows(tokens, rows, width=width),
        "dynamic": lambda rows: pad_rows(tokens, rows),
        "packed": lambda rows: pack_rows(tokens, rows, groups=groups),
    }
    return makers[batching]
