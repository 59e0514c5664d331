"""The corpus as the model sees it: tokens, and the frozen encoder's states. Made once a context and shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.assets.corpus import SPLITS

if TYPE_CHECKING:
    from torch import Tensor

    from repro.sections.context import Context
    from repro.training.data import Examples


def examples(context: Context) -> dict[str, Examples]:
    """Return the three splits, tokenized."""
    import torch

    from repro.training.data import Examples, tokenize

    if "examples" not in context.shared:
        context.shared["examples"] = {
            split: Examples(
                tokens=tokenize(context.tokenizer, context.corpus.texts(split), max_length=context.recipe.max_length),
                labels=torch.tensor(context.corpus.labels(split)),
            )
            for split in SPLITS
        }
    tokenized: dict[str, Examples] = context.shared["examples"]
    return tokenized


def cls_states(context: Context) -> dict[str, Tensor]:
    """Return the [CLS] states of the frozen encoder for train and validation, each (n, H), in fp32."""
    from repro.assets.loading import load_encoder
    from repro.training import predict

    if "cls_states" not in context.shared:
        encoder = load_encoder(context.checkpoint.folder)
        context.shared["cls_states"] = {
            split: predict.cls_states(
                encoder,
                examples(context)[split].tokens,
                batch_size=context.recipe.batch_size,
                **context.running,
            )
            for split in ("train", "validation")
        }
    states: dict[str, Tensor] = context.shared["cls_states"]
    return states
