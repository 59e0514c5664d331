"""Texts to word pieces, in one flat array with offsets; rows of them to a batch: padded, or packed end to end."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_map_only
from transformers import PreTrainedTokenizerBase

CHUNK = 10_000  # texts handed to the tokenizer at once, which bounds what its encodings hold in memory
FILL = 32  # a row of pieces is filled up to a multiple of it: few shapes, so kernels and memory are used again
GROUPS = 4  # attention pads a text to the longest of its group of like texts, not of the batch
# on a GPU, where starting a kernel costs more than padding, and a shape is a graph of kernels (`graphs`)
ON_GPU: Mapping[str, int] = {"groups": 1, "fill": 256, "step": 32}
Batch = dict[str, Any]  # tensors by the encoder's argument names, and the Packing


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


class Group(NamedTuple):
    """Texts (b,), numbers in the batch, laid out T wide; a cell behind a text's end is not `real` (b, T)."""

    texts: Tensor
    real: Tensor


class Packing(NamedTuple):
    """Where B texts lie in one row of N pieces.

    `starts` (B,) is the place of each [CLS]. `groups` partition the texts by length; laid out one behind the other,
    text i of the batch is number `order[i]` in them, piece j of the row stands in cell `cells[j]` (N,), and in cell c
    stands piece `places[c]` (C,), any where the cell is not real. The last cell belongs to no group: there stands the
    filler.
    """

    starts: Tensor
    groups: tuple[Group, ...]
    order: Tensor
    cells: Tensor
    places: Tensor

    def lay_out(self, states: Tensor) -> list[Tensor]:
        """Lay (N, heads, D) out by text: (b, heads, T, D) a group."""
        apply: Callable[..., Tensor] = _LayOut.apply
        laid_out = apply(states, self.places, self.cells)  # (C, heads, D)
        shapes = [group.real.shape for group in self.groups]
        parts = laid_out.split([*(texts * longest for texts, longest in shapes), 1])[:-1]
        return [part.unflatten(0, tuple(shape)).transpose(1, 2) for part, shape in zip(parts, shapes, strict=True)]


class _LayOut(torch.autograd.Function):
    """The gather of every cell's piece, and for its gradient the gather of every piece's cell.

    That is index_select's own gradient bit for bit, which adds up in zeros and takes longer: a piece has one real
    cell, and the gradient of the others is 0, since nothing attends to them and nothing reads what they attend to.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, places: Tensor, cells: Tensor) -> Tensor:
        ctx.save_for_backward(cells)
        return states.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (cells,) = ctx.saved_tensors
        return gradients[0].index_select(0, cells), None, None


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on `device`; a copy to a GPU starts from pinned memory, and the host goes on without waiting."""
    if device.type != "cuda":
        return batch
    on_gpu: Batch = tree_map_only(Tensor, lambda part: part.pin_memory().to(device, non_blocking=True), batch)
    return on_gpu


def pad_rows(tokens: TokenizedTexts, rows: Tensor, *, width: int | None = None) -> Batch:
    """Gather `rows` (B,) as `input_ids` and `attention_mask`, both (B, T); T is `width` or the longest of the rows."""
    starts = tokens.offsets[rows]
    lengths = tokens.offsets[rows + 1] - starts
    columns = torch.arange(width or int(lengths.max()))  # (T,)
    real = columns < lengths[:, None]  # (B, T)
    places = (starts[:, None] + columns).clamp_(max=len(tokens.ids) - 1)
    ids = torch.where(real, tokens.ids[places].long(), tokens.pad_id)
    return {"input_ids": ids, "attention_mask": real.long()}


def pack_rows(tokens: TokenizedTexts, rows: Tensor, *, groups: int = GROUPS, fill: int = FILL, step: int = 1) -> Batch:
    """Gather `rows` (B,) end to end: `input_ids` and `position_ids` (1, N), positions restarting at each text.

    N is a multiple of `fill`; attention lays a group's texts out in a multiple of `step` cells. The filler behind the
    last text belongs to none: nothing attends to it or reads it.
    """
    sources = tokens.offsets[rows]
    lengths = tokens.offsets[rows + 1] - sources
    starts = lengths.cumsum(0) - lengths  # (B,)
    positions = torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)  # (N,) without the filler
    ids = tokens.ids[sources.repeat_interleave(lengths) + positions].long()
    filler, by_length = (0, -len(ids) % fill), lengths.argsort(stable=True)
    laid_out, places, first_cells, cell_count = [], [], torch.empty_like(starts), 0
    for texts in by_length.tensor_split(min(groups, len(rows))):
        columns = torch.arange(-(-int(lengths[texts[-1]]) // step) * step)  # (T,)
        first_cells[texts] = cell_count + torch.arange(len(texts)) * len(columns)
        cell_count += len(texts) * len(columns)
        places.append((starts[texts, None] + columns).clamp_(max=len(ids) - 1).flatten())
        laid_out.append(Group(texts=texts, real=columns < lengths[texts, None]))
    cells = functional.pad(first_cells.repeat_interleave(lengths) + positions, filler, value=cell_count)
    places.append(starts[:1])  # of the filler's cell, which nothing reads
    return {
        "input_ids": functional.pad(ids, filler, value=tokens.pad_id)[None],
        "position_ids": functional.pad(positions, filler)[None],
        "packing": Packing(starts, tuple(laid_out), by_length.argsort(), cells, torch.cat(places)),
    }


def batcher(tokens: TokenizedTexts, batching: str, **layout: int) -> Callable[[Tensor], Batch]:
    """Return the function from row numbers (B,) to a batch.

    `padded` pads every row to the longest text of the split, as the notebook does; `dynamic` to the longest of
    the batch; `packed` pads nothing and needs an encoder prepared by `enable_packing`; `layout` is `pack_rows`'s.
    """
    if batching == "packed":
        return lambda rows: pack_rows(tokens, rows, **layout)
    width = int(tokens.lengths.max()) if batching == "padded" else None
    return lambda rows: pad_rows(tokens, rows, width=width)
