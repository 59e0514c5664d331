"""Packed batches against the padded forward, for both encoder families: the same numbers, without the padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
)

from benchmarks.sameness import compare_packed_with_padded
from repro.errors import UsageError
from repro.training import encoder, packing
from repro.training.data import Examples, TokenizedTexts
from repro.training.encoder import enable_packing
from repro.training.packing import pack_rows, pad_rows

VOCABULARY = 97


def model_of(family: str, **dropout: Any) -> PreTrainedModel:
    """A three-layer encoder with a six-class head, in evaluation mode: without dropout."""
    torch.manual_seed(1)
    if family == "bert":
        sizes: dict[str, Any] = {
            "hidden_size": 32,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "intermediate_size": 48,
        }
        bert = BertConfig(vocab_size=VOCABULARY, **sizes, **dropout)
        bert.num_labels = 6
        model: PreTrainedModel = BertForSequenceClassification(bert)
    else:
        config = DistilBertConfig(vocab_size=VOCABULARY, dim=32, n_heads=4, n_layers=3, hidden_dim=48, **dropout)
        config.num_labels = 6
        model = DistilBertForSequenceClassification(config)
    model.eval()
    return model


def texts_of(lengths: list[int]) -> TokenizedTexts:
    rng = np.random.default_rng(sum(lengths))
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    ids = torch.from_numpy(rng.integers(1, VOCABULARY, int(offsets[-1])))
    return TokenizedTexts(ids=ids, offsets=offsets, pad_id=0, truncated=0)


def assert_same(family: str, lengths: list[int]) -> None:
    model, tokens = model_of(family), texts_of(lengths)
    rows = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(0))
    examples = Examples(tokens=tokens, labels=torch.arange(len(lengths)) % 6)
    padded = model(**pad_rows(tokens, rows)).logits
    found = compare_packed_with_padded(model, examples, rows)
    assert found.logits < 1e-5
    assert found.gradients < 1e-4
    again = model(**pad_rows(tokens, rows)).logits
    assert torch.equal(again, padded)  # padded batches go through the same encoder as before


FAMILIES = pytest.mark.parametrize("family", ["bert", "distilbert"])
SHORT = st.lists(st.integers(3, 60), min_size=1, max_size=9)
LONGEST = 512  # both families'
LENGTHS = st.one_of(
    SHORT,
    st.lists(st.integers(3, LONGEST), min_size=2, max_size=5),
    SHORT.map(lambda lengths: [*lengths, LONGEST]),  # one long text among short ones, in assert_same's order
    st.integers(3, LONGEST).map(lambda length: [length]),
    st.builds(lambda length, texts: [length] * texts, st.integers(3, LONGEST), st.integers(2, 5)),
)


@FAMILIES
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(lengths=LENGTHS)
def test_packed_logits_and_gradients_are_the_padded_ones(family: str, lengths: list[int]) -> None:
    assert_same(family, lengths)


@FAMILIES
@pytest.mark.parametrize("lengths", [[3], [512], [7, 7, 7], [3, 512, 4, 5], [2, 2], [511, 512]])
def test_the_edges_too(family: str, lengths: list[int]) -> None:
    assert_same(family, lengths)


@FAMILIES
def test_a_text_attends_to_no_other_text_of_its_batch(family: str) -> None:
    model = model_of(family)
    enable_packing(model)
    tokens = texts_of([5, 9, 30, 4])
    together = model(**pack_rows(tokens, torch.arange(4))).logits
    alone = torch.cat([model(**pack_rows(tokens, torch.tensor([i]))).logits for i in range(4)])
    assert torch.allclose(together, alone, atol=1e-6)


@FAMILIES
def test_the_gpus_kernel_is_told_where_each_text_begins_and_ends(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def kernel(q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, longest_q: int, longest_k: int) -> Tensor:
        """What torch documents of varlen_attn, text by text."""
        assert cu_q.dtype == cu_k.dtype == torch.int32
        assert longest_q == longest_k == int(cu_q.diff().max())
        assert len(q) == int(cu_q[-1])
        out = torch.empty_like(q)
        for begin, end in zip(cu_q[:-1].tolist(), cu_q[1:].tolist(), strict=True):
            queries, keys, values = (part[begin:end].transpose(0, 1) for part in (q, k, v))  # (heads, n, D)
            out[begin:end] = torch.nn.functional.scaled_dot_product_attention(queries, keys, values).transpose(0, 1)
        return out

    model, tokens, rows = model_of(family), texts_of([5, 9, 30, 4]), torch.tensor([2, 0, 3, 1])
    padded = model(**pad_rows(tokens, rows)).logits
    enable_packing(model)
    monkeypatch.setattr(encoder, "varlen_attn", kernel)
    monkeypatch.setattr(encoder, "_takes_varlen", lambda query, dropout: not dropout)
    assert torch.allclose(model(**pack_rows(tokens, rows, groups=1)).logits, padded, atol=1e-6)


@FAMILIES
@pytest.mark.parametrize("groups", [1, 2, 4, 9])
def test_any_number_of_groups_gives_the_same(family: str, groups: int) -> None:
    model, tokens, rows = model_of(family), texts_of([5, 9, 30, 4, 9]), torch.tensor([2, 0, 3, 1, 4])
    padded = model(**pad_rows(tokens, rows)).logits
    enable_packing(model)
    assert torch.allclose(model(**pack_rows(tokens, rows, groups=groups)).logits, padded, atol=1e-6)


@FAMILIES
@pytest.mark.parametrize("groups", [1, 3])
def test_the_gradients_of_laying_out_are_those_of_index_select(
    family: str, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens, rows = model_of(family).train(), texts_of([5, 9, 30, 4, 9]), torch.arange(5)
    enable_packing(model)

    def gradients() -> list[Tensor]:
        torch.manual_seed(0)  # the same dropout
        model.zero_grad()
        model(**pack_rows(tokens, rows, groups=groups), labels=rows).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    found = gradients()
    monkeypatch.setattr(packing._LayOut, "apply", lambda states, places, *_: states.index_select(0, places))
    assert all(map(torch.equal, found, gradients()))


@FAMILIES
def test_every_linear_layer_sees_real_pieces_only_and_the_last_one_cls_only(family: str) -> None:
    model = model_of(family)
    enable_packing(model)
    seen: dict[str, int] = {}

    def note(name: str) -> Any:
        return lambda module, inputs, output: seen.__setitem__(name, inputs[0].numel() // inputs[0].shape[-1])

    for name, module in model.base_model.named_modules():
        if isinstance(module, torch.nn.Linear) and "pooler" not in name:
            module.register_forward_hook(note(name))
    model(**pack_rows(texts_of([5, 9, 30]), torch.arange(3)))
    first = {count for name, count in seen.items() if ".layer.0." in name or ".layer.1." in name}
    last = {name: count for name, count in seen.items() if ".layer.2." in name}
    assert first == {64}  # 5 + 9 + 30 pieces, filled up to a multiple of 32
    assert not [name for name in last if any(part in name for part in ("key", "value", "k_lin", "v_lin"))]  # folded
    assert set(last.values()) == {3}


@FAMILIES
def test_dropout_stays_on_in_training(family: str) -> None:
    model = model_of(family)
    enable_packing(model)
    batch = pack_rows(texts_of([5, 9]), torch.arange(2))
    expected = model(**batch).logits
    model.train()
    assert not torch.allclose(model(**batch).logits, expected)


ATTENTION_DROPS_ALONE: dict[str, dict[str, float]] = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.5},
    "distilbert": {"dropout": 0.0, "seq_classif_dropout": 0.0, "attention_dropout": 0.5},
}


@FAMILIES
@pytest.mark.parametrize("layer", [0, 1, 2])  # the last one attends from [CLS] alone
def test_the_attention_of_each_layer_drops_in_training(family: str, layer: int) -> None:
    model = model_of(family, **ATTENTION_DROPS_ALONE[family])
    enable_packing(model)
    batch = pack_rows(texts_of([5, 9, 30, 4]), torch.arange(4))
    expected = model(**batch).logits
    dropping = [module for module in model.modules() if isinstance(module, torch.nn.Dropout) and module.p]
    assert len(dropping) == 3  # one a layer, in their order
    for other in dropping[:layer] + dropping[layer + 1 :]:
        other.p = 0.0
    model.train()
    assert not torch.allclose(model(**batch).logits, expected, atol=1e-6)
    dropping[layer].p = 0.0
    assert torch.allclose(model(**batch).logits, expected, atol=1e-6)  # nothing else drops


@FAMILIES
def test_attention_with_dropout_on_weighs_as_it_does_without(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(family, **ATTENTION_DROPS_ALONE[family])
    enable_packing(model)
    batch = pack_rows(texts_of([5, 9, 30, 4]), torch.arange(4))
    expected = model(**batch).logits
    monkeypatch.setattr(encoder, "drop", lambda weights, dropout: weights)
    model.train()
    assert torch.allclose(model(**batch).logits, expected, atol=1e-6)


def test_a_saved_model_knows_nothing_of_packing(tmp_path: Path) -> None:
    model, plain = model_of("bert"), model_of("bert")
    enable_packing(model)
    model.save_pretrained(tmp_path)
    loaded = BertForSequenceClassification.from_pretrained(tmp_path)
    assert "packed" not in (tmp_path / "config.json").read_text()
    assert loaded.config._attn_implementation != "packed"
    batch = pad_rows(texts_of([5, 9]), torch.arange(2))
    assert torch.equal(loaded.eval()(**batch).logits, plain(**batch).logits)


def test_another_architecture_is_refused_and_dynamic_is_named() -> None:
    config = RobertaConfig(
        vocab_size=50, hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8
    )
    with pytest.raises(UsageError, match=r"(?s)not roberta.*--batching dynamic"):
        enable_packing(RobertaModel(config))
