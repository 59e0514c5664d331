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
    own = random_states(accelerator.device) | {
        "loss": totals.loss.cpu(),
        "diverged_at": totals.diverged_at.cpu(),
        "pieces": torch.tensor(totals.pieces),
    }
    processes = gather_object([own])
    numbers = {
        "schedule": training.schedule.state_dict(),
        "learning_rates": [group["lr"] for group in training.optimizer.param_groups],
        "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
        "totals": {name: getattr(totals, name) for name in SHARED},
        "results": [
            {
                "epoch": result.epoch.model_dump(),
                "evaluate_seconds": result.evaluate_seconds,
                "computed_pieces": result.computed_pieces,
            }
            for result in training.results
        ],
    }
    parts = {
        "model": accelerator.unwrap_model(training.model).state_dict(),
        "optimizer": _optimizer_tensors(training),
        **{f"process-{i}": tensors for i, tensors in enumerate(processes)},
        **{f"validation-{result.epoch.epoch}": vars(result.validation) for result in training.results},
    }
    return numbers, {f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def restore(training: Training, state: State) -> None:
    """Bring a training that was just prepared to where the state's was; its random states wait for the next step."""
    numbers, accelerator = state.manifest.numbers, training.accelerator
    accelerator.unwrap_model(training.model).load_state_dict(state.part("model"))
    _restore_optimizer(training, state.part("optimizer"), numbers["learning_rates"])
    training.schedule.load_state_dict(numbers["schedule"])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(numbers["scaler"])
    own = state.part(f"process-{accelerator.process_index}")
    training.totals = EpochTotals(
        **numbers["totals"] | {"rates": tuple(numbers["totals"]["rates"])},
        loss=own["loss"].to(accelerator.device),
        diverged_at=own["diverged_at"].to(accelerator.device),
        pieces=int(own["pieces"]),
    )
    training.results = [
        EpochResult(**result | {"epoch": epoch, "validation": RowOutputs(**state.part(f"validation-{epoch.epoch}"))})
        for result in numbers["results"]
        for epoch in [Epoch.model_validate(result["epoch"])]
    ]
    training.set_random_states = lambda: set_random_states(own, accelerator.device)


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's generators in this process: a step draws from no other."""
    states = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Set them again."""
    torch.set_rng_state(states["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _optimizer_tensors(training: Training) -> dict[str, Tensor]:
    """Return AdamW's step and moments by a parameter's number in the optimizer: `0/exp_avg`."""
    state = training.optimizer.state_dict()["state"]
    return {f"{number}/{what}": tensor for number, moments in state.items() for what, tensor in moments.items()}


def _restore_optimizer(training: Training, tensors: dict[str, Tensor], learning_rates: list[float]) -> None:
    whole = training.optimizer.state_dict()
    for name, tensor in tensors.items():
        number, _, what = name.partition("/")
        whole["state"].setdefault(int(number), {})[what] = torch.clone(tensor)
    for group, rate in zip(whole["param_groups"], learning_rates, strict=True):
        group["lr"] = rate
    training.optimizer.load_state_dict(whole)
