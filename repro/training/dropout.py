"""Dropout whose mask costs a tenth on the CPU: torch draws one mask at a time there, on one core.

The mask takes 16 random bits an element from torch's own generator, four elements a draw, so that seeds and saved
random states hold for it as they do for torch's. The probability is therefore a multiple of 1/65536 (0.1 becomes
0.100006), and what is kept is scaled by the exact inverse of the share that is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

STEPS = 1 << 16


def drop(states: Tensor, probability: float, *, training: bool = True) -> Tensor:
    """Zero elements with `probability` and scale the others so that the mean stays; on a GPU torch's own dropout."""
    if not training or not probability:
        return states
    if states.device.type != "cpu" or probability == 1:
        return functional.dropout(states, probability)
    apply: Callable[[Tensor, int], Tensor] = _Drop.apply
    return apply(states, round(probability * STEPS))


def use_fast_dropout(model: nn.Module) -> None:
    """Let every dropout layer of the model draw its mask here."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            _replace_forward(module)


def _replace_forward(layer: Any) -> None:
    def forward(states: Tensor) -> Tensor:
        return drop(states, layer.p, training=layer.training)

    layer.forward = forward  # of this layer object only


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, dropped_steps: int) -> Tensor:
        elements = states.numel()
        draws = torch.empty(-(-elements // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
        bits = draws.view(torch.int16)[:elements].view(states.shape)
        keep = bits >= dropped_steps - STEPS // 2
        ctx.scale = STEPS / (STEPS - dropped_steps)
        ctx.save_for_backward(keep)
        kept: Tensor = (states * keep).mul_(ctx.scale)
        return kept

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return (gradients[0] * keep).mul_(ctx.scale), None
