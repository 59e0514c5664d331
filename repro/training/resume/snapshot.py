"""What a state holds of a training: capture and restore, random states included."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from repro.records.record import Epoch
from repro.training.epochs import EpochResult, EpochTotals, Training
from repro.training.predict import RowOutputs
from repro.training.resume.state import State

SHARED = ("epoch", "steps", "tweets", "seconds", "rates")  # of an epoch's totals, the same for every process


def capture(training: Training) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return numbers, and tensors named `part/name`, of all processes; each of them must call it.

    The tensors of model and optimizer are the training's own: to be written before the next step changes them.
    """
    totals, accelerator = training.totals, training.accelerator
    random_tensors, random_numbers = random_states(accelerator.device)
    own = random_tensors | {"loss": totals.loss.cpu(), "diverged_at": totals.diverged_at.cpu()}
    processes = gather_object([(own, {"random": random_numbers, "pieces": totals.pieces})])
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
        "processes": [by_process for _, by_process in processes],
    }
    parts = {
        "model": accelerator.unwrap_model(training.model).state_dict(),
        "optimizer": _optimizer_tensors(training),
        **{f"process-{i}": by_process for i, (by_process, _) in enumerate(processes)},
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
    process = accelerator.process_index
    own, by_process = state.part(f"process-{process}"), numbers["processes"][process]
    training.totals = EpochTotals(
        **numbers["totals"] | {"rates": tuple(numbers["totals"]["rates"])},
        loss=own["loss"].to(accelerator.device),
        diverged_at=own["diverged_at"].to(accelerator.device),
        pieces=by_process["pieces"],
    )
    training.results = [
        EpochResult(**result | {"epoch": epoch, "validation": RowOutputs(**state.part(f"validation-{epoch.epoch}"))})
        for result in numbers["results"]
        for epoch in [Epoch.model_validate(result["epoch"])]
    ]
    training.set_random_states = lambda: set_random_states(own, by_process["random"], accelerator.device)


def random_states(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the states of Python's, numpy's and torch's generators in this process, as tensors and as JSON's numbers.

    Dropout of packed batches draws from torch's own generators too.
    """
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    tensors = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
    }
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return tensors, {
        "python": [version, gauss],
        "numpy": [str(name), int(position), int(has_gauss), float(cached)],
    }


def set_random_states(tensors: dict[str, Tensor], numbers: dict[str, Any], device: torch.device) -> None:
    """Set every random state of this process."""
    torch.set_rng_state(tensors["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors["cuda"], device)
    version, gauss = numbers["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    name, *others = numbers["numpy"]
    np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), *others))


def _parameter_names(training: Training) -> list[str]:
    """Return the parameters' names in the optimizer's order."""
    model = training.accelerator.unwrap_model(training.model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(p)] for group in training.optimizer.param_groups for p in group["params"]]


def _optimizer_tensors(training: Training) -> dict[str, Tensor]:
    names, state = _parameter_names(training), training.optimizer.state_dict()["state"]
    return {f"{names[i]}/{what}": tensor for i, moments in state.items() for what, tensor in moments.items()}


def _restore_optimizer(training: Training, tensors: dict[str, Tensor], learning_rates: list[float]) -> None:
    by_name: dict[str, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        name, _, what = path.rpartition("/")
        by_name.setdefault(name, {})[what] = torch.clone(tensor)
    whole = training.optimizer.state_dict()
    whole["state"] = {i: by_name[name] for i, name in enumerate(_parameter_names(training)) if name in by_name}
    for group, rate in zip(whole["param_groups"], learning_rates, strict=True):
        group["lr"] = rate
    training.optimizer.load_state_dict(whole)
