"""Packed attention and the [CLS]-only last layer for BERT-family encoders.

A packed batch is one row of N word pieces: the batch's texts end to end, without padding. Linear layers, norms
and activations then see real pieces only; attention looks at one text at a time, through transformers' own
attention interface. A classifier reads nothing of the last layer but the [CLS] states, so that layer computes
queries, output projection and feed-forward for those B pieces alone and returns (B, 1, H), as heads take it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from repro.errors import UsageError
from repro.training.data import Packing

IMPLEMENTATION = "packed"
STEPS = 1 << 16  # of a probability: 16 random bits an element


class Dropout(nn.Dropout):
    """Dropout whose mask costs a fraction on the CPU, where torch draws it element by element on one core."""

    def forward(self, states: Tensor) -> Tensor:
        """Return the states, with elements dropped in training."""
        return drop(states, self.p) if self.training else states


def drop(states: Tensor, probability: float) -> Tensor:
    """Zero elements with a probability, rounded to 1/65536, and scale the others so that the mean stays.

    The mask is drawn from torch's own generator, four elements a number, so that seeds and saved random states hold.
    """
    if states.device.type != "cpu" or probability in (0, 1):
        return functional.dropout(states, probability)
    elements, dropped = states.numel(), round(probability * STEPS)
    numbers = torch.empty(-(-elements // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
    bits = numbers.view(torch.int16)[:elements].view(states.shape)
    keep, scale = bits >= dropped - STEPS // 2, STEPS / (STEPS - dropped)
    return states * torch.where(keep, states.new_tensor(scale), states.new_zeros(()))


def enable_packing(model: PreTrainedModel) -> None:
    """Let the model's encoder take packed batches, and those alone; UsageError for another family."""
    encoder: Any = model.base_model
    family = encoder.config.model_type
    if family not in _LAST_LAYERS:
        raise UsageError(
            f"packed batches know the encoders {' and '.join(_LAST_LAYERS)}, not {family}", "Use --batching dynamic."
        )
    if encoder.config._attn_implementation == IMPLEMENTATION:
        return
    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, lambda **_: None)
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout
    model.set_attn_implementation(IMPLEMENTATION)
    last = (encoder.encoder if family == "bert" else encoder.transformer).layer[-1]

    def forward(hidden: Tensor, *args: Any, packing: Packing, **kwargs: Any) -> Tensor:
        return _LAST_LAYERS[family](last, hidden, packing).transpose(0, 1)  # (B, 1, H)

    last.forward = forward  # of this layer object only


def _attention(
    _: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, packing: Packing, dropout: float, **kwargs: Any
) -> tuple[Tensor, None]:
    """Attend within each text; query, key and value are (1, heads, N, D), the result is (1, N, heads, D)."""
    laid_out = (packing.lay_out(states[0].transpose(0, 1)) for states in (query, key, value))
    attended = [
        _attend(q, k, v, group.real, dropout).transpose(1, 2).flatten(0, 1)
        for group, q, k, v in zip(packing.groups, *laid_out, strict=True)
    ]  # (b * T, heads, D) each
    attended.append(torch.zeros_like(attended[0][:1]))  # the filler's
    return torch.cat(attended).index_select(0, packing.cells).unsqueeze(0), None


def _attend(query: Tensor, key: Tensor, value: Tensor, real: Tensor, dropout: float) -> Tensor:
    """Attend from (b, heads, T, D) to the `real` (b, T) pieces of the same text: (b, heads, T, D)."""
    if not dropout or query.is_cuda:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=real[:, None, None], dropout_p=dropout
        )
    # torch has no fused kernel with dropout on the CPU; these are its own steps, with the faster mask
    with torch.autocast(query.device.type, enabled=False):
        scores = (query * query.shape[-1] ** -0.5) @ key.mT
        weights = scores.masked_fill_(~real[:, None, None], -torch.inf).softmax(dim=-1)
        return drop(weights, dropout) @ value


def _attend_cls(
    query: nn.Linear, key: nn.Linear, value: nn.Linear, hidden: Tensor, packing: Packing, heads: int, dropout: nn.Module
) -> Tensor:
    """Attend from each [CLS] of `hidden` (1, N, H) to its own text: (1, B, H).

    One query a text does not need keys and values of every piece. A score is q . (K h + k) = (K'q) . h + q . k, and
    the weighted mean of values V (sum of p h) + v (sum of p): the projections are made once a text and head.
    """
    head_size = query.out_features // heads
    queries = query(hidden[0, packing.starts]).unflatten(-1, (heads, head_size)).transpose(0, 1)  # (heads, B, D)
    queries = queries * head_size**-0.5
    key_weight, value_weight = (layer.weight.unflatten(0, (heads, head_size)) for layer in (key, value))
    wanted = (queries @ key_weight).transpose(0, 1)  # (B, heads, H)
    offsets = (queries @ key.bias.view(heads, head_size, 1)).transpose(0, 1)  # (B, heads, 1)
    mixtures, shares = [], []
    for group, states in zip(packing.groups, packing.lay_out(hidden[0].unsqueeze(1)), strict=True):
        laid_out = states[:, 0]  # (b, T, H)
        scores = (wanted[group.texts] @ laid_out.mT).float() + offsets[group.texts]  # (b, heads, T)
        weights = scores.masked_fill(~group.real[:, None], -torch.inf).softmax(dim=-1)
        weights = dropout(weights).to(laid_out.dtype)
        mixtures.append(weights @ laid_out)  # (b, heads, H)
        shares.append(weights.sum(dim=-1, keepdim=True))  # 1 where nothing is dropped
    mixed, share = (torch.cat(parts)[packing.order].transpose(0, 1) for parts in (mixtures, shares))  # (heads, B, ...)
    attended: Tensor = mixed @ value_weight.mT + share * value.bias.view(heads, 1, head_size)  # (heads, B, D)
    return attended.transpose(0, 1).flatten(1).unsqueeze(0)


def _last_bert_layer(layer: Any, hidden: Tensor, packing: Packing) -> Tensor:
    own = layer.attention.self
    attended = _attend_cls(own.query, own.key, own.value, hidden, packing, own.num_attention_heads, own.dropout)
    states: Tensor = layer.feed_forward_chunk(layer.attention.output(attended, hidden[:, packing.starts]))
    return states


def _last_distilbert_layer(layer: Any, hidden: Tensor, packing: Packing) -> Tensor:
    own = layer.attention
    attended = _attend_cls(own.q_lin, own.k_lin, own.v_lin, hidden, packing, own.n_heads, own.dropout)
    attended = layer.sa_layer_norm(own.out_lin(attended) + hidden[:, packing.starts])
    states: Tensor = layer.output_layer_norm(layer.ffn(attended) + attended)
    return states


_LAST_LAYERS = {"bert": _last_bert_layer, "distilbert": _last_distilbert_layer}
