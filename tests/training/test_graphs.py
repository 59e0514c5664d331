"""Which batches run, which are recorded and which replayed; what only a GPU can show is in `test_gpu`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from repro.training import graphs
from repro.training.graphs import GraphedPass


class OnTheCpu(GraphedPass):
    """Its graphs do again what they recorded, on the same inputs and gradients, as a CUDA graph does."""

    def _record(self, batch: Any, weight: float) -> Any:
        own = {name: tensor.clone() for name, tensor in batch.items()}
        gradients = [(parameter, torch.empty_like(parameter)) for parameter in self._model.parameters()]
        loss = torch.zeros(())

        def replay() -> None:
            loss.copy_(self._run(own, weight))
            for parameter, gradient in gradients:
                gradient.copy_(parameter.grad)  # type: ignore[arg-type]
                parameter.grad = None

        return graphs._Graph(replay=replay, inputs=list(own.values()), gradients=gradients, loss=loss)


def test_the_first_batch_of_a_shape_runs_and_the_others_are_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    model, ran = nn.Linear(3, 1), []

    def run(batch: Any, weight: float) -> Tensor:
        ran.append(batch["states"].data_ptr())
        loss: Tensor = model(batch["states"]).square().mean() * weight
        loss.backward()
        return loss.detach()

    graphed, own = OnTheCpu(run, model), []
    for rows, weight in ((4, 1.0), (4, 1.0), (5, 1.0), (4, 1.0), (4, 0.5), (5, 1.0)):
        batch = {"states": torch.randn(rows, 3)}
        model.zero_grad()
        loss = graphed(batch, weight).clone()
        gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        own.append(ran[-1] != batch["states"].data_ptr())
        model.zero_grad()
        assert torch.equal(loss, run(batch, weight))
        expected = [parameter.grad for parameter in model.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True) if b is not None)
    assert own == [False, True, False, True, False, True]  # on a graph's own inputs: not the first of each


def test_shapes_beyond_the_most_are_run_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(graphs, "MOST", 2)
    ran: list[int] = []

    def run(batch: Any, weight: float) -> Tensor:
        ran.append(batch["states"].data_ptr())
        loss: Tensor = batch["states"].sum() * weight
        return loss

    graphed = OnTheCpu(run, nn.Module())
    batches = [{"states": torch.ones(rows)} for rows in (1, 2, 3, 3, 3, 1)]
    assert [float(graphed(batch, 1.0)) for batch in batches] == [1, 2, 3, 3, 3, 1]
    assert [at == batch["states"].data_ptr() for at, batch in zip(ran, batches, strict=True)] == [True] * 5 + [False]
