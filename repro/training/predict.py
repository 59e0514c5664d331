"""A trained or frozen encoder over every row of a split, in order: logits and losses, or [CLS] states."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from repro.training import progress
from repro.training.data import Batch, Examples, TokenizedTexts, batcher, to_device
from repro.training.device import return_freed_memory
from repro.training.encoder import enable_packing

TRIM_BATCHES = 100  # more than an evaluation of the seminar's has: of millions of rows alone


@dataclass(frozen=True, kw_only=True)
class RowOutputs:
    """What a classifier says of each row of a split: `logits` (n, classes) and `losses` (n,), both fp32 on the CPU."""

    logits: Tensor
    losses: Tensor

    @property
    def predictions(self) -> list[int]:
        """The class of the largest logit, a row."""
        largest: list[int] = self.logits.argmax(dim=-1).tolist()
        return largest

    @property
    def mean_loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.losses.double().mean())


def predict_rows(
    model: nn.Module,
    examples: Examples,
    *,
    batch_size: int,
    accelerator: Accelerator,
    batching: str = "packed",
    fp32: bool = False,
) -> RowOutputs:
    """Return logits and losses of every row, in order, without dropout; `fp32` is for a model that is not prepared."""
    share, bare = share_of(torch.arange(len(examples)), accelerator), accelerator.unwrap_model(model)
    with nullcontext() if fp32 else accelerator.autocast():  # around all batches it casts the weights once
        own = over_rows(
            bare, examples.tokens, share, lambda outputs, _: outputs.logits,
            accelerator=accelerator, batching=batching, batch_size=batch_size,
        )  # fmt: skip
    # the shares in the order of processes are the rows in order; where rows are few some are empty
    gathered = torch.cat([part for part in gather_object([own]) if len(part)])
    losses = functional.cross_entropy(gathered, examples.labels, reduction="none")
    return RowOutputs(logits=gathered, losses=losses)


def cls_states(encoder: PreTrainedModel, tokens: TokenizedTexts, **options: Any) -> Tensor:
    """Return the last layer's [CLS] state of every text, (n, H) on the CPU, in fp32; `options` are `over_rows`'s."""
    encoder.to(options["accelerator"].device)
    rows = torch.arange(len(tokens))
    return over_rows(encoder, tokens, rows, lambda outputs, _: outputs.last_hidden_state[:, 0], **options)


@torch.inference_mode()
def over_rows(
    model: Any, tokens: TokenizedTexts, rows: Tensor, read: Callable[[Any, Batch], Tensor], *,
    accelerator: Accelerator, batching: str = "packed", batch_size: int = 64,
) -> Tensor:  # fmt: skip
    """Return what `read` makes of outputs and batch, (B, …), for `rows` (n,) of the texts: (n, …) on the CPU, in fp32.

    The rows go through the model sorted by length. No process waits for another here: their shares may differ.
    """
    if batching == "packed":
        enable_packing(model)
    model.eval()
    make_batch = batcher(tokens, batching, groups=1)  # of texts sorted by length
    order = tokens.lengths[rows].argsort(stable=True)
    in_order: Any = rows[order]  # a DataLoader takes its draw of randomness, as it does in the Trainer's evaluation
    states, done = torch.empty(0), 0
    with progress.bar("evaluate", len(rows)) as advance:
        for batch in DataLoader(in_order, batch_size=batch_size):
            inputs = to_device(make_batch(batch), accelerator.device)
            part = read(model(**inputs), inputs).float().cpu()
            states = states if done else torch.empty(len(rows), *part.shape[1:])
            states[order[done : done + len(batch)]] = part
            done += len(batch)
            if done % (TRIM_BATCHES * batch_size) == 0:
                return_freed_memory()
            advance(len(batch), None)
    return states


def share_of(rows: Tensor, accelerator: Accelerator) -> Tensor:
    """Return the rows of `rows` (B,) that this process computes: a slice, so that the shares in order are `rows`."""
    share: Tensor = rows.tensor_split(accelerator.num_processes)[accelerator.process_index]
    return share
