"""The faster dropout: it must drop what torch's drops, as often and as evenly, and pass gradients where it kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from repro.training.dropout import drop, use_fast_dropout

MANY = 400_000
FIVE_SIGMA = 5 * (0.1 * 0.9 / MANY) ** 0.5


def test_the_share_that_is_dropped_and_the_mean_are_right() -> None:
    torch.manual_seed(0)
    dropped = drop(torch.ones(MANY), 0.1)
    assert float((dropped == 0).double().mean()) == pytest.approx(0.1, abs=FIVE_SIGMA)
    assert float(dropped.double().mean()) == pytest.approx(1, abs=FIVE_SIGMA / 0.9)
    assert set(dropped.tolist()) == {0.0, float(torch.tensor(65536 / 58982))}


def test_none_of_the_four_elements_of_a_draw_is_favoured() -> None:
    torch.manual_seed(1)
    by_lane = (drop(torch.ones(MANY), 0.5) == 0).double().view(-1, 4).mean(dim=0)
    assert by_lane.tolist() == pytest.approx([0.5] * 4, abs=5 * (0.25 / (MANY / 4)) ** 0.5)


def test_the_gradient_goes_where_the_state_went() -> None:
    states = torch.randn(7, 5, 3, requires_grad=True)
    dropped = drop(states, 0.4)
    dropped.sum().backward()
    assert states.grad is not None
    assert torch.allclose(states.grad * states, dropped)
    assert 0 < int((dropped == 0).sum()) < states.numel()


def test_the_seed_decides_and_a_saved_random_state_goes_on() -> None:
    states = torch.ones(1_001)
    torch.manual_seed(3)
    first = drop(states, 0.1)
    saved = torch.get_rng_state()
    second = drop(states, 0.1)
    torch.set_rng_state(saved)
    assert torch.equal(drop(states, 0.1), second)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(drop(states, 0.1), first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_edges_of_the_probability(dtype: torch.dtype) -> None:
    states = torch.ones(64, dtype=dtype)
    assert torch.equal(drop(states, 0.0), states)
    assert torch.equal(drop(states, 0.5, training=False), states)
    assert not drop(states, 1.0).any()
    assert drop(states, 0.5).dtype == dtype


def test_a_models_dropout_layers_use_it_in_training_only() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Identity())
    use_fast_dropout(model)
    states = torch.ones(10_000)
    model.eval()
    assert torch.equal(model(states), states)
    model.train()
    torch.manual_seed(0)
    expected = drop(states, 0.5)
    torch.manual_seed(0)
    assert torch.equal(model(states), expected)
