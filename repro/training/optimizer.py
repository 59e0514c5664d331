"""The Trainer's AdamW."""

from __future__ import annotations

import torch
from torch import nn

from repro.assets.recipes import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW with the Trainer's two groups: no weight decay on biases and LayerNorm weights."""
    normed = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for part, _ in module.named_parameters()
    }
    decayed = {name: p for name, p in model.named_parameters() if name not in normed and "bias" not in name}
    spared = {name: p for name, p in model.named_parameters() if name not in decayed}
    return torch.optim.AdamW(
        [
            {"params": list(decayed.values()), "weight_decay": recipe.weight_decay},
            {"params": list(spared.values()), "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        fused=True,
    )
