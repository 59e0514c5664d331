"""Packed batches against the padded forward, for both encoder families: the same numbers, without the padding."""

from __future__ import annotations

import itertools
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.sameness import compare_packed_with_padded
from benchmarks.steps import attend_by_varlen
from repro.errors import UsageError
from repro.training import data, encoder
from repro.training.data import ON_GPU, Examples, TokenizedTexts, pack_rows, pad_rows
from repro.training.encoder import drop, enable_packing

VOCABULARY = 97
MANY = 400_000


CONFIGURATIONS: dict[str, tuple[Any, Any]] = {
    "bert": (transformers.BertForSequenceClassification, transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_attention_heads=4, num_hidden_layers=3, intermediate_size=48)),
    "distilbert": (transformers.DistilBertForSequenceClassification, transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_heads=4, n_layers=3, hidden_dim=48)),
}  # fmt: skip
FAMILIES = pytest.mark.parametrize("family", CONFIGURATIONS)


def model_of(family: str, *, packed: bool = False) -> transformers.PreTrainedModel:
    """A three-layer encoder with a six-class head, in evaluation mode: without dropout."""
    torch.manual_seed(1)
    kind, configuration = CONFIGURATIONS[family]
    configuration = deepcopy(configuration)
    configuration.num_labels = 6
    model: transformers.PreTrainedModel = kind(configuration)
    if packed:
        enable_packing(model)
    model.eval()
    return model


def texts_of(lengths: list[int]) -> TokenizedTexts:
    rng = np.random.default_rng(sum(lengths))
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    ids = torch.from_numpy(rng.integers(1, VOCABULARY, int(offsets[-1])))
    return TokenizedTexts(ids=ids, offsets=offsets, pad_id=0, truncated=0)


SHORT = st.lists(st.integers(3, 60), min_size=1, max_size=9)
LONGEST = 512  # both families'
LENGTHS = st.one_of(
    SHORT,
    st.lists(st.integers(3, LONGEST), min_size=2, max_size=5),
    SHORT.map(lambda lengths: [*lengths, LONGEST]),  # one long text among short ones, in the order of the batch
    st.integers(3, LONGEST).map(lambda length: [length]),
    st.builds(lambda length, texts: [length] * texts, st.integers(3, LONGEST), st.integers(2, 5)),
)


@FAMILIES
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(lengths=LENGTHS)
@example(lengths=[3])
@example(lengths=[512])
@example(lengths=[7, 7, 7])
@example(lengths=[3, 512, 4, 5])
@example(lengths=[2, 2])
@example(lengths=[511, 512])
def test_packed_logits_and_gradients_are_the_padded_ones(family: str, lengths: list[int]) -> None:
    rows = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(0))
    examples = Examples(tokens=texts_of(lengths), labels=torch.arange(len(lengths)) % 6)
    difference = compare_packed_with_padded(model_of(family), examples, rows)
    assert difference.logits < 1e-5
    assert difference.gradients < 1e-4


@FAMILIES
@pytest.mark.parametrize("layout", [*({"groups": groups} for groups in (1, 2, 4, 9)), ON_GPU])
def test_any_layout_gives_the_same_and_the_filler_gets_no_gradient(family: str, layout: dict[str, int]) -> None:
    tokens, rows = texts_of([5, 9, 30, 4, 9]), torch.tensor([2, 0, 3, 1, 4])
    seen: list[Tensor] = []
    padded = model_of(family)(**pad_rows(tokens, rows)).logits
    model = model_of(family, packed=True)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.register_full_backward_hook(lambda _, gradients, __: seen.append(*gradients))
    packed = model(**pack_rows(tokens, rows, **layout)).logits
    assert torch.allclose(packed, padded, atol=1e-6)
    packed.sum().backward()
    of_pieces = [gradient for gradient in seen if gradient.shape[1] > len(rows)]  # the last layer has [CLS] alone
    assert of_pieces
    assert all(gradient[:, 57:].abs().max() == 0 for gradient in of_pieces)  # 5 + 9 + 30 + 4 + 9 pieces
    assert all(gradient[:, :57].abs().max() > 0 for gradient in of_pieces)


@FAMILIES
def test_attention_by_varlen_is_the_same(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, rows = texts_of([5, 9, 30, 4, 9]), torch.tensor([2, 0, 3, 1, 4])

    def stand_in(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, *_: Any) -> Tensor:
        """Attention text by text: the real one runs on a GPU alone."""
        texts = [slice(start, end) for start, end in itertools.pairwise(bounds.tolist())]
        states = ([part[text].transpose(0, 1) for part in (query, key, value)] for text in texts)
        return torch.cat([functional.scaled_dot_product_attention(q, k, v).transpose(0, 1) for q, k, v in states])

    expected = model_of(family, packed=True)(**pack_rows(tokens, rows)).logits
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", stand_in)
    monkeypatch.setattr(encoder, "_attention", attend_by_varlen)
    varlen = model_of(family, packed=True)(**pack_rows(tokens, rows)).logits
    assert torch.allclose(varlen, expected, atol=1e-6)


@FAMILIES
@pytest.mark.parametrize("groups", [1, 3])
def test_the_gradients_of_laying_out_are_those_of_index_select(
    family: str, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens, rows = model_of(family, packed=True).train(), texts_of([5, 9, 30, 4, 9]), torch.arange(5)

    def gradients() -> list[Tensor]:
        torch.manual_seed(0)  # the same dropout
        model.zero_grad()
        model(**pack_rows(tokens, rows, groups=groups), labels=rows).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    own = gradients()
    monkeypatch.setattr(data._LayOut, "apply", lambda states, places, *_: states.index_select(0, places))
    assert all(map(torch.equal, own, gradients()))


@FAMILIES
def test_every_linear_layer_sees_real_pieces_only_and_the_last_one_cls_only(family: str) -> None:
    model = model_of(family, packed=True)
    seen: dict[str, int] = {}

    def note(name: str) -> Any:
        return lambda module, inputs, output: seen.__setitem__(name, inputs[0].numel() // inputs[0].shape[-1])

    for name, module in model.base_model.named_modules():
        if isinstance(module, nn.Linear) and "pooler" not in name:
            module.register_forward_hook(note(name))
    model(**pack_rows(texts_of([5, 9, 30]), torch.arange(3)))
    first = {count for name, count in seen.items() if ".layer.0." in name or ".layer.1." in name}
    last = {name: count for name, count in seen.items() if ".layer.2." in name}
    assert first == {64}  # 5 + 9 + 30 pieces, filled up to a multiple of 32
    assert not [name for name in last if any(part in name for part in ("key", "value", "k_lin", "v_lin"))]  # folded
    assert set(last.values()) == {3}


@FAMILIES
def test_every_dropout_layer_drops_in_training_alone(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = model_of(family, packed=True), pack_rows(texts_of([5, 9, 30, 4]), torch.arange(4))
    expected = model(**batch).logits
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    assert len(layers) == {"bert": 11, "distilbert": 8}[family]
    for module in layers.values():
        module.p = 0.0
    model.train()
    assert torch.allclose(model(**batch).logits, expected, atol=1e-6)  # nothing else drops
    for name, module in layers.items():
        module.p = 0.5
        assert not torch.allclose(model(**batch).logits, expected, atol=1e-6), name
        with monkeypatch.context() as patched:
            patched.setattr(encoder, "drop", lambda states, probability: states)
            assert torch.allclose(model(**batch).logits, expected, atol=1e-6), name  # but for the mask it is the same
        module.p = 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dropout_drops_as_often_as_it_should_and_keeps_the_mean(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = drop(torch.ones(MANY, dtype=dtype), 0.1)
    assert dropped.dtype == dtype
    assert float((dropped == 0).double().mean()) == pytest.approx(0.1, abs=5 * (0.1 * 0.9 / MANY) ** 0.5)
    assert set(dropped.tolist()) == {0.0, float(torch.tensor(65536 / 58982, dtype=dtype))}
    by_lane = (drop(torch.ones(MANY), 0.5) == 0).double().view(-1, 4).mean(dim=0)  # four elements a draw
    assert by_lane.tolist() == pytest.approx([0.5] * 4, abs=5 * (0.25 / (MANY / 4)) ** 0.5)
    assert torch.equal(drop(torch.ones(9, dtype=dtype), 0.0), torch.ones(9, dtype=dtype))
    assert not drop(torch.ones(9, dtype=dtype), 1.0).any()


def test_dropout_passes_gradients_where_it_kept_and_follows_the_seed() -> None:
    states = torch.randn(7, 11, 13, requires_grad=True)
    torch.manual_seed(3)
    first, saved = drop(states, 0.4), torch.get_rng_state()
    second = drop(states, 0.4)
    torch.set_rng_state(saved)
    assert torch.equal(drop(states, 0.4), second)
    assert not torch.equal(first, second)
    first.sum().backward()
    assert states.grad is not None
    assert torch.allclose(states.grad * states, first)
    torch.manual_seed(3)
    assert torch.equal(drop(states, 0.4), first)


def test_a_saved_model_knows_nothing_of_packing(tmp_path: Path) -> None:
    model_of("bert", packed=True).save_pretrained(tmp_path)
    loaded = transformers.BertForSequenceClassification.from_pretrained(tmp_path)
    assert "packed" not in (tmp_path / "config.json").read_text()
    batch = pad_rows(texts_of([5, 9]), torch.arange(2))
    assert torch.equal(loaded.eval()(**batch).logits, model_of("bert")(**batch).logits)


def test_another_architecture_is_refused_and_dynamic_is_named() -> None:
    config = transformers.RobertaConfig(
        vocab_size=50, hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8
    )
    with pytest.raises(UsageError, match=r"(?s)not roberta.*--batching dynamic"):
        enable_packing(transformers.RobertaModel(config))
