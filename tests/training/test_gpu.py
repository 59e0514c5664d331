"""What only a GPU can show; elsewhere these tests are listed as not run, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import set_seed

from repro.assets.loading import load_classifier
from repro.assets.recipes import TINY
from repro.sections.context import Context
from repro.spec import Device
from repro.training.device import (
    accelerator_facts,
    make_accelerator,
    peak_device_mib,
    reset_peak_memory,
    resolve_device,
)
from repro.training.loop import fit
from repro.training.packing import pack_rows, to_device
from repro.training.predict import predict_rows
from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy
from tests.training.trial import Killed, cut_off

pytestmark = pytest.mark.gpu
SMALL = replace(TINY, batch_size=16)


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """So that bits can be compared; the embedding's gradient adds up in any order else."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def train(context: Context, *, precision: str = "fp32", **options: Any) -> tuple[list[float], list[torch.Tensor]]:
    """Train two epochs on the GPU; return losses and weights."""
    set_seed(3)
    model = load_classifier(context.checkpoint.folder)
    results = list(
        fit(
            model, recipe=SMALL, train=context.examples["train"], validation=context.examples["validation"], seed=3,
            **{"accelerator": make_accelerator(device="cuda", precision=precision), **options},
        )
    )  # fmt: skip
    return [result.epoch.train_loss for result in results], [p.detach().cpu() for p in model.parameters()]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_seed_twice_gives_the_same_losses(tiny_context: Context, precision: str) -> None:
    first, again = train(tiny_context, precision=precision), train(tiny_context, precision=precision)
    assert first[0] == pytest.approx(again[0], abs=1e-6)
    assert max(float((a - b).abs().max()) for a, b in zip(first[1], again[1], strict=True)) < 1e-4


def test_the_native_precision_stays_near_fp32(tiny_context: Context) -> None:
    from accelerate.state import AcceleratorState

    exact, _ = train(tiny_context)
    AcceleratorState._reset_state(reset_partial_state=True)
    rough, _ = train(tiny_context, precision=str(resolve_device(Device.CUDA).precision))
    assert rough == pytest.approx(exact, abs=0.05)


def test_the_gpus_logits_are_the_cpus(tiny_context: Context) -> None:
    from accelerate.state import AcceleratorState

    logits = []
    for kind in ("cpu", "cuda"):
        accelerator = make_accelerator(device=kind, precision="fp32")
        set_seed(3)
        model = load_classifier(tiny_context.checkpoint.folder).to(accelerator.device)
        outputs = predict_rows(model, tiny_context.examples["validation"], batch_size=16, accelerator=accelerator)
        logits.append(outputs.logits)
        AcceleratorState._reset_state(reset_partial_state=True)
    assert torch.allclose(logits[0], logits[1], atol=1e-3)


def test_no_step_waits_for_the_gpu(tiny_context: Context) -> None:
    accelerator = make_accelerator(device="cuda", precision="fp32")
    tokens = tiny_context.examples["train"].tokens
    model = load_classifier(tiny_context.checkpoint.folder).to(accelerator.device)
    list(
        fit(
            model, recipe=replace(SMALL, epochs=1), train=tiny_context.examples["train"], seed=3,
            validation=tiny_context.examples["validation"], accelerator=accelerator,
        )
    )  # fmt: skip
    torch.cuda.set_sync_debug_mode("error")
    try:
        labels = torch.arange(16) % 6
        batch = to_device(pack_rows(tokens, torch.arange(16), groups=1) | {"labels": labels}, accelerator.device)
        model.train()
        model(**batch).loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_peak_memory_is_counted_by_the_allocator() -> None:
    reset_peak_memory()
    block = torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
    del block
    peak = peak_device_mib()
    assert peak is not None
    assert 64 <= peak < 4_096
    assert accelerator_facts()["cuda"] == torch.version.cuda


def test_a_training_that_was_cut_off_resumes_on_the_gpu(tiny_context: Context, tmp_path: Any) -> None:
    def run(folder: str, **options: Any) -> tuple[list[float], list[torch.Tensor]]:
        accelerator = make_accelerator(device="cuda", precision="fp32")
        checkpointer = Checkpointer(
            tmp_path / folder, "finetune, seed 3", {"seed": 3}, accelerator, CheckpointPolicy(save_every=4)
        )
        with checkpointer.locked(), checkpointer.interruptible():
            return train(tiny_context, accelerator=accelerator, checkpointer=checkpointer, **options)

    expected = run("undisturbed")
    with pytest.raises(Killed):
        run("resumed", progress=cut_off(10))
    resumed = run("resumed")
    assert resumed[0] == pytest.approx(expected[0], abs=1e-6)
    assert max(float((a - b).abs().max()) for a, b in zip(resumed[1], expected[1], strict=True)) < 1e-4
