"""A step's forward and backward pass as a CUDA graph: the GPU runs its kernels without the host starting each of them.

A step of the seminar's size keeps a large GPU busy for a fraction of the time in which Python starts its kernels. A
graph is recorded once a shape of batch, which packing keeps few (`data.ON_GPU`), and replayed on the same addresses.
Dropout draws on from the generator of the device, as it does without: saved random states hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only

from repro.training.data import Batch

MOST = 12  # graphs, each of which keeps a gradient of every parameter; tweets make 6
Shape = tuple[Any, ...]
Pass = Callable[[Batch, float], Tensor]  # forward and backward over a batch on the device; returns the weighted loss


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """A recorded pass: it reads `inputs` and writes `gradients`, one a parameter that has one, and `loss`."""

    replay: Callable[[], None]
    inputs: Sequence[Tensor]
    gradients: Sequence[tuple[nn.Parameter, Tensor]]
    loss: Tensor


class GraphedPass:
    """Forward and backward by `run`, which takes the first batch of each shape itself; the others replay its graph.

    Batches of more shapes than MOST are run too. A call leaves new gradients at the parameters, which must have none
    before it, and returns the loss.
    """

    def __init__(self, run: Pass, model: nn.Module) -> None:
        # one pool of memory for all: none is replayed beside another
        self._run, self._model, self._pool = run, model, torch.cuda.graph_pool_handle()
        self._graphs: dict[Shape, _Graph | None] = {}

    def __call__(self, batch: Batch, weight: float) -> Tensor:
        """Return the weighted mean loss of a batch on the GPU; the next call may overwrite it."""
        tensors = _tensors(batch)
        shape = (weight, *(tensor.shape for tensor in tensors))
        if shape not in self._graphs:
            if len(self._graphs) < MOST:
                self._graphs[shape] = None  # to be recorded when it comes again: its kernels are loaded then
            return self._run(batch, weight)
        graph = self._graphs[shape] = self._graphs[shape] or self._record(batch, weight)
        for own, given in zip(graph.inputs, tensors, strict=True):
            own.copy_(given)
        graph.replay()
        for parameter, gradient in graph.gradients:
            parameter.grad = gradient
        return graph.loss

    def _record(self, batch: Batch, weight: float) -> _Graph:
        own: Batch = tree_map_only(Tensor, torch.clone, batch)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):  # others may save a state
            loss = self._run(own, weight)
        gradients = [
            (parameter, parameter.grad) for parameter in self._model.parameters() if parameter.grad is not None
        ]
        return _Graph(replay=graph.replay, inputs=_tensors(own), gradients=gradients, loss=loss)


def _tensors(batch: Batch) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(batch)[0] if isinstance(leaf, Tensor)]
