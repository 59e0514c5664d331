"""Packed attention and the [CLS]-only last layer for BERT-family encoders.

A packed batch is one row of N word pieces: the batch's texts end to end, without padding. Linear layers, norms
and activations then see real pieces only; attention looks at one text at a time, through transformers' own
attention interface. A classifier reads nothing of the last layer but the [CLS] states, so that layer computes
queries, output projection and feed-forward for those B pieces alone and returns (B, 1, H), which the
library's classification heads take as they are. The mathematics is that of the padded forward (tests hold it).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from repro.errors import UsageError
from repro.training.dropout import drop, use_fast_dropout
from repro.training.packing import Packing

varlen_attn: Any = None
with suppress(ImportError):  # a torch built without it
    from torch.nn.attention.varlen import varlen_attn

IMPLEMENTATION = "packed"


def enable_packing(model: PreTrainedModel) -> None:
    """Let the model's encoder take packed batches; padded ones go on as before. UsageError for another family."""
    encoder: Any = model.base_model
    family = encoder.config.model_type
    if family not in _LAST_LAYERS:
        raise UsageError(
            f"packed batches know the encoders {' and '.join(_LAST_LAYERS)}, not {family}", "Use --batching dynamic."
        )
    if encoder.config._attn_implementation == IMPLEMENTATION:
        return
    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, _mask)
    use_fast_dropout(model)
    model.set_attn_implementation(IMPLEMENTATION)
    layers = (encoder.encoder if family == "bert" else encoder.transformer).layer
    _give_cls_only_forward(layers[-1], _LAST_LAYERS[family])


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    packing: Packing | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within each text; query, key and value are (1, heads, N, D), the result is (1, N, heads, D)."""
    if packing is None:  # a padded batch
        padded: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return padded
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))  # (N, heads, D) each
    if _takes_varlen(q, dropout):
        return _attend_varlen(q, k, v, packing).unsqueeze(0), None
    laid_out = (packing.lay_out(states) for states in (q, k, v))
    attended = [
        _attend(q, k, v, group.real, dropout).transpose(1, 2).flatten(0, 1)
        for group, q, k, v in zip(packing.groups, *laid_out, strict=True)
    ]  # (b * T, heads, D) each
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


def _takes_varlen(query: Tensor, dropout: float) -> bool:
    """Whether the kernel for texts of any length is there for it: a GPU, 16 bits, and no dropout, which it lacks."""
    return varlen_attn is not None and query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and not dropout


def _attend_varlen(query: Tensor, key: Tensor, value: Tensor, packing: Packing) -> Tensor:
    """Attend within each text without any padding; all are (N, heads, D), the filler's result is 0."""
    real = (states[: packing.pieces] for states in (query, key, value))
    attended: Tensor = varlen_attn(*real, packing.bounds, packing.bounds, packing.longest, packing.longest)
    return functional.pad(attended, (0, 0, 0, 0, 0, len(query) - packing.pieces))


def _mask(*, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """Make no mask for a packed batch, which has none; sdpa's own for a padded one."""
    if attention_mask is None:
        return None
    mask: Tensor | None = sdpa_mask(attention_mask=attention_mask, **kwargs)
    return mask


def _attend_cls(
    query: nn.Linear, key: nn.Linear, value: nn.Linear, hidden: Tensor, packing: Packing, *, heads: int, dropout: float
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
        weights = drop(weights, dropout).to(laid_out.dtype)
        mixtures.append(weights @ laid_out)  # (b, heads, H)
        shares.append(weights.sum(dim=-1, keepdim=True))  # 1 where nothing is dropped
    mixed, share = (torch.cat(parts)[packing.order].transpose(0, 1) for parts in (mixtures, shares))  # (heads, B, ...)
    attended: Tensor = mixed @ value_weight.mT + share * value.bias.view(heads, 1, head_size)  # (heads, B, D)
    return attended.transpose(0, 1).flatten(1).unsqueeze(0)


def _last_bert_layer(layer: Any, hidden: Tensor, packing: Packing) -> Tensor:
    attention = layer.attention.self
    attended = _attend_cls(
        attention.query, attention.key, attention.value, hidden, packing, heads=attention.num_attention_heads,
        dropout=attention.dropout.p if attention.training else 0.0,
    )  # fmt: skip
    states: Tensor = layer.feed_forward_chunk(layer.attention.output(attended, hidden[:, packing.starts]))
    return states


def _last_distilbert_layer(layer: Any, hidden: Tensor, packing: Packing) -> Tensor:
    attention = layer.attention
    attended = _attend_cls(
        attention.q_lin, attention.k_lin, attention.v_lin, hidden, packing, heads=attention.n_heads,
        dropout=attention.dropout.p if attention.training else 0.0,
    )  # fmt: skip
    attended = layer.sa_layer_norm(attention.out_lin(attended) + hidden[:, packing.starts])
    states: Tensor = layer.output_layer_norm(layer.ffn(attended) + attended)
    return states


LastLayer = Callable[[Any, Tensor, Packing], Tensor]
_LAST_LAYERS: dict[str, LastLayer] = {"bert": _last_bert_layer, "distilbert": _last_distilbert_layer}


def _give_cls_only_forward(layer: nn.Module, last_layer: LastLayer) -> None:
    whole = layer.forward

    def forward(hidden: Tensor, *args: Any, packing: Packing | None = None, **kwargs: Any) -> Any:
        if packing is None:
            return whole(hidden, *args, **kwargs)
        return last_layer(layer, hidden, packing).transpose(0, 1)  # (B, 1, H)

    layer.forward = forward  # of this layer object only, and only for packed batches
