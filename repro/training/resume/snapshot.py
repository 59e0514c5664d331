"""What a state holds of a training: capture and restore, random states included."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from repro.records.schema import Epoch
from repro.training.epochs import EpochResult, EpochTotals, Training
from repro.training.predict import RowOutputs
from repro.training.resume.state import State

SHARED = ("epoch", "steps", "tweets", "seconds", "rates")  # of an epoch's totals, the same for every process


def capture(training: Training) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return numbers, and tensors named `part/name`, of all processes; each of them must call it.

    The tensors of model and optimizer are the training's own: to be written before the next step changes them.
    """
    totals, accelerator = training.totals, training.accelerator
    own = {"loss": totals.loss.cpu(), "diverged_at": totals.diverged_at.cpu(), "pieces": torch.tensor(totals.pieces)}
    own["torch"] = torch.get_rng_state()  # a step draws from no other generator
    if accelerator.device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(accelerator.device)
    optimizer = training.optimizer.state_dict()["state"]  # AdamW's step and moments by a parameter's number
    results = training.results
    numbers = {
        "schedule": training.schedule.state_dict(),
        "learning_rates": [group["lr"] for group in training.optimizer.param_groups],
        "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
        "totals": {name: getattr(totals, name) for name in SHARED},
        "results": [vars(result) | {"epoch": result.epoch.model_dump(), "validation": None} for result in results],
    }
    parts = {
        "model": accelerator.unwrap_model(training.model).state_dict(),
        "optimizer": {f"{number}/{what}": t for number, moments in optimizer.items() for what, t in moments.items()},
        **{f"process-{i}": tensors for i, tensors in enumerate(gather_object([own]))},
        **{f"validation-{result.epoch.epoch}": vars(result.validation) for result in results},
    }
    return numbers, {f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def restore(training: Training, state: State) -> None:
    """Bring a training that was just prepared to where the state's was; its random states wait for the next step."""
    numbers, accelerator = state.manifest.numbers, training.accelerator
    device = accelerator.device
    accelerator.unwrap_model(training.model).load_state_dict(state.part("model"))
    _restore_optimizer(training, state.part("optimizer"), numbers["learning_rates"])
    training.schedule.load_state_dict(numbers["schedule"])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(numbers["scaler"])
    own = state.part(f"process-{accelerator.process_index}")
    totals = numbers["totals"] | {"rates": tuple(numbers["totals"]["rates"]), "pieces": int(own["pieces"])}
    tensors = {name: own[name].to(device) for name in ("loss", "diverged_at")}
    training.totals = EpochTotals(**totals, **tensors)
    for number, result in enumerate(numbers["results"], start=1):
        epoch, validation = Epoch.model_validate(result["epoch"]), RowOutputs(**state.part(f"validation-{number}"))
        training.results.append(EpochResult(**result | {"epoch": epoch, "validation": validation}))

    def set_random_states() -> None:
        torch.set_rng_state(own["torch"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(own["cuda"], device)

    training.set_random_states = set_random_states


def _restore_optimizer(training: Training, tensors: dict[str, Tensor], learning_rates: list[float]) -> None:
    whole = training.optimizer.state_dict()
    for name, tensor in tensors.items():
        number, _, what = name.partition("/")
        whole["state"].setdefault(int(number), {})[what] = torch.clone(tensor)
    for group, rate in zip(whole["param_groups"], learning_rates, strict=True):
        group["lr"] = rate
    training.optimizer.load_state_dict(whole)
