"""What only a GPU can show; elsewhere these tests are listed as not run, with the reason."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from repro.assets.checkpoints import WEIGHTS
from repro.assets.loading import load_classifier
from repro.records.schema import RunRecord
from repro.sections.context import Context
from repro.spec import Device, Precision
from repro.training import loop, progress
from repro.training.data import ON_GPU, pack_rows, to_device
from repro.training.device import resolve_device
from repro.training.encoder import enable_packing
from repro.training.graphs import GraphedPass
from repro.training.predict import predict_rows
from repro.training.progress import Advance
from tests.training.trial import Runs, accelerator, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:Memory Efficient attention defaults to a non-deterministic algorithm"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature"),
]


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """So that bits can be compared; the embedding's gradient adds up in any order else."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def make(runs: Runs) -> Callable[..., Runs]:
    return lambda name, precision="fp32": runs.elsewhere(name, device=Device.CUDA, precision=Precision(precision))


def finetune(runs: Runs) -> RunRecord:
    """Fine-tune as a process of its own would, which may choose its precision."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return runs.finetune()


def assert_near(one: Runs, other: Runs, *, losses: float, weights: float) -> None:
    for a, b in zip(*(finetune(each).epochs for each in (one, other)), strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, abs=losses)
    parameters, others = (load_file(each.model / WEIGHTS) for each in (one, other))
    for name, parameter in parameters.items():
        assert torch.allclose(parameter, others[name], rtol=0, atol=weights)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_seed_twice_gives_the_same_losses(make: Callable[..., Runs], precision: str) -> None:
    assert_near(make("one", precision), make("again", precision), losses=1e-6, weights=1e-4)


def test_a_training_that_was_cut_off_resumes_on_the_gpu(make: Callable[..., Runs]) -> None:
    resumed = make("resumed")
    resumed.cut_off(at=10)
    assert_near(resumed, make("undisturbed"), losses=1e-6, weights=1e-4)


def test_the_native_precision_stays_near_fp32(make: Callable[..., Runs]) -> None:
    native = resolve_device(Device.CUDA).precision
    assert_near(make("exact"), make("native", native), losses=0.05, weights=1)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_replayed_kernels_train_as_launched_ones(
    make: Callable[..., Runs], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Any] = []

    class Noting(GraphedPass):
        def _record(self, *args: Any) -> Any:
            recorded.append(super()._record(*args))
            return recorded[-1]

    def make_pass(run: Any, model: Any) -> Any:
        return run if recorded else Noting(run, model)  # the first of two trainings is the replayed one

    monkeypatch.setattr(loop, "GraphedPass", make_pass)
    assert_near(make("replayed", precision), make("launched", precision), losses=1e-6, weights=1e-4)
    assert recorded


def test_the_gpus_logits_are_the_cpus(tiny_context: Context) -> None:
    logits = []
    for kind in ("cpu", "cuda"):
        own = accelerator(kind)
        torch.manual_seed(3)
        model = load_classifier(tiny_context.checkpoint.folder).to(own.device)
        outputs = predict_rows(model, tiny_context.examples["validation"], batch_size=16, accelerator=own)
        logits.append(outputs.logits)
    assert torch.allclose(logits[0], logits[1], atol=1e-3)


def test_no_step_waits_for_the_gpu(tiny_context: Context) -> None:
    tokens, device = tiny_context.examples["train"].tokens, torch.device("cuda")
    model: Any = load_classifier(tiny_context.checkpoint.folder)
    model.to(device).train()
    enable_packing(model)
    for mode in ("default", "error"):  # the first step loads kernels
        torch.cuda.set_sync_debug_mode(mode)
        try:
            labels = torch.arange(16) % 6
            batch = to_device(pack_rows(tokens, torch.arange(16), **ON_GPU) | {"labels": labels}, device)
            model(**batch).loss.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_no_step_of_an_epoch_waits_for_the_gpu(tiny_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def watching(what: str, total: int) -> Iterator[Advance]:
        steps = itertools.count(1)

        def advance(done: int, loss: Any) -> None:
            if what != "evaluate":  # the fifth of six steps: the first ones load and record, the last one is read
                torch.cuda.set_sync_debug_mode({4: "error", 5: "default"}.get(next(steps), "default"))

        yield advance

    monkeypatch.setattr(progress, "bar", watching)
    try:
        _, results = train(tiny_context, batching="packed", accelerator=accelerator("cuda", "fp16"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(results) == 2
