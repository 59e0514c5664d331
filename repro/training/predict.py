"""A trained or frozen encoder over every row of a split, in order: logits and losses, or [CLS] states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from repro.training.batches import Batch, Examples, batcher
from repro.training.encoder import enable_packing
from repro.training.progress import Progress
from repro.training.tokens import TokenizedTexts


@dataclass(frozen=True, kw_only=True)
class RowOutputs:
    """What a classifier says of each row of a split: `logits` (n, classes) and `losses` (n,), both fp32 on the CPU."""

    logits: Tensor
    losses: Tensor

    @property
    def predictions(self) -> list[int]:
        """The class of the largest logit, a row."""
        found: list[int] = self.logits.argmax(dim=-1).tolist()
        return found

    @property
    def mean_loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.losses.double().mean())


@torch.inference_mode()
def predict_rows(
    model: nn.Module,
    examples: Examples,
    *,
    batch_size: int,
    accelerator: Accelerator,
    batching: str = "packed",
    progress: Progress | None = None,
) -> RowOutputs:
    """Return logits and losses of every row, in order, without dropout."""
    if batching == "packed":
        enable_packing(accelerator.unwrap_model(model))
    model.eval()
    make_batch = batcher(examples.tokens, batching)
    numbers: Any = share_of(torch.arange(len(examples)), accelerator)  # a map-style dataset of row numbers
    logits = []
    with (progress or Progress()).bar("evaluate", len(examples)) as advance:
        for rows in DataLoader(numbers, batch_size=batch_size):
            outputs = model(**to_device(make_batch(rows), accelerator))
            logits.append(outputs.logits.float().cpu())
            advance(len(rows), None)
    gathered = torch.cat(gather_object(logits))  # the shares in the order of processes are the rows in order
    losses = functional.cross_entropy(gathered, examples.labels, reduction="none")
    return RowOutputs(logits=gathered, losses=losses)


@torch.inference_mode()
def cls_states(
    encoder: PreTrainedModel,
    tokens: TokenizedTexts,
    *,
    accelerator: Accelerator,
    batching: str = "packed",
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Tensor:
    """Return the last layer's [CLS] state of every text, (n, H) in fp32 on the CPU, in order.

    The rows go through the encoder sorted by length, so that a batch holds texts of like length.
    """
    if batching == "packed":
        enable_packing(encoder)
    encoder = accelerator.prepare_model(encoder, evaluation_mode=True).eval()
    make_batch = batcher(tokens, batching)
    states = torch.empty(len(tokens), encoder.config.hidden_size)
    with (progress or Progress()).bar("hidden states", len(tokens)) as advance:
        for rows in tokens.lengths.argsort(stable=True).split(batch_size):
            hidden = encoder(**to_device(make_batch(rows), accelerator)).last_hidden_state  # (B, T, H)
            states[rows] = hidden[:, 0].float().cpu()
            advance(len(rows), None)
    return states


def share_of(rows: Tensor, accelerator: Accelerator) -> Tensor:
    """Return the rows of `rows` (B,) that this process computes: a slice, so that the shares in order are `rows`."""
    share: Tensor = rows.tensor_split(accelerator.num_processes)[accelerator.process_index]
    return share


def to_device(batch: Batch, accelerator: Accelerator) -> Batch:
    """Return the batch on the accelerator's device."""
    return {name: part.to(accelerator.device, non_blocking=True) for name, part in batch.items()}
