"""What only a GPU can show; elsewhere these tests are listed as not run, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from repro.assets.loading import load_classifier
from repro.sections.context import Context
from repro.spec import Device
from repro.training.device import resolve_device
from repro.training.encoder import enable_packing
from repro.training.packing import pack_rows, to_device
from repro.training.predict import predict_rows
from tests.training.trial import Killed, Trial, accelerator, cut_off

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """So that bits can be compared; the embedding's gradient adds up in any order else."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def assert_near(one: dict[str, Any], other: dict[str, Any], *, losses: float, weights: float) -> None:
    for a, b in zip(one["epochs"], other["epochs"], strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], abs=losses)
    for name, parameter in one["weights"].items():
        assert torch.allclose(torch.tensor(parameter), torch.tensor(other["weights"][name]), rtol=0, atol=weights)


def on_gpu(trial: Trial, precision: str = "fp32") -> Trial:
    return replace(trial.elsewhere(precision), make=partial(accelerator, "cuda", precision))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_seed_twice_gives_the_same_losses(trial: Trial, precision: str) -> None:
    one, again = (on_gpu(trial.elsewhere(name), precision).train()[0] for name in ("one", "again"))
    assert_near(one, again, losses=1e-6, weights=1e-4)


def test_a_training_that_was_cut_off_resumes_on_the_gpu(trial: Trial) -> None:
    trial = on_gpu(trial)
    with pytest.raises(Killed):
        trial.train(progress=cut_off(10), save_every=4)
    assert_near(trial.train(save_every=4)[0], trial.undisturbed(), losses=1e-6, weights=1e-4)


def test_the_native_precision_stays_near_fp32(trial: Trial) -> None:
    native = str(resolve_device(Device.CUDA).precision)
    exact, rough = (on_gpu(trial, precision).train()[0] for precision in ("fp32", native))
    assert_near(exact, rough, losses=0.05, weights=1)


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
            batch = to_device(pack_rows(tokens, torch.arange(16), groups=1) | {"labels": labels}, device)
            model(**batch).loss.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
