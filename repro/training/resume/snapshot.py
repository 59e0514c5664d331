"""What a state holds of a training, and how the training goes on from it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from repro.records.record import Epoch
from repro.training.epochs import Doubling, EpochResult, EpochSoFar, Training
from repro.training.predict import RowOutputs
from repro.training.randomness import all_states, set_all_states
from repro.training.resume.state import State, Tensors

SHARED = ("number", "steps", "tweets", "seconds", "rates")  # of an epoch, the same for every process


def capture(training: Training) -> tuple[dict[str, Any], Tensors]:
    """Return numbers and tensors of all processes; each of them must call it.

    The tensors of model and optimizer are the training's own: to be written before the next step changes them.
    """
    so_far, model = training.so_far, training.accelerator.unwrap_model(training.model)
    own, random_numbers = all_states(training.accelerator.device)
    own |= {"loss": so_far.loss.cpu(), "diverged_at": so_far.diverged_at.cpu()}
    processes = gather_object([(own, {"random": random_numbers, "pieces": so_far.pieces})])
    numbers = {
        "schedule": training.schedule.state_dict(),
        "learning_rates": [group["lr"] for group in training.optimizer.param_groups],
        "micro_batches": training.micro_batches,
        "epoch": {name: getattr(so_far, name) for name in SHARED} | {"doublings": _told(so_far.doublings)},
        "finished": [
            {
                "epoch": result.epoch.model_dump(),
                "evaluate_seconds": result.evaluate_seconds,
                "computed_pieces": result.computed_pieces,
                "doublings": _told(result.doublings),
            }
            for result in training.results
        ],
        "processes": [found for _, found in processes],
    }
    validation = {
        f"{result.epoch.epoch}.{name}": getattr(result.validation, name)
        for result in training.results
        for name in ("logits", "losses")
    }
    tensors = {"model": dict(model.state_dict()), "optimizer": _optimizer_tensors(training)}
    tensors |= {f"process-{i}": found for i, (found, _) in enumerate(processes)}
    return numbers, tensors | ({"validation": validation} if validation else {})


def restore(training: Training, state: State) -> None:
    """Bring a training that was just prepared to where the state's was; random states are set by `wake`."""
    numbers, tensors, accelerator = state.numbers, state.tensors, training.accelerator
    accelerator.unwrap_model(training.model).load_state_dict(tensors["model"])
    _restore_optimizer(training, tensors["optimizer"], numbers["learning_rates"])
    training.schedule.load_state_dict(numbers["schedule"])
    training.micro_batches = numbers["micro_batches"]
    own, counts = tensors[f"process-{accelerator.process_index}"], numbers["processes"][accelerator.process_index]
    epoch = dict(numbers["epoch"])
    training.so_far = EpochSoFar(
        loss=own["loss"].to(accelerator.device),
        diverged_at=own["diverged_at"].to(accelerator.device),
        pieces=counts["pieces"],
        rates=tuple(epoch.pop("rates")),
        doublings=[Doubling(**each) for each in epoch.pop("doublings")],
        **epoch,
    )
    training.results = [_result(found, tensors["validation"]) for found in numbers["finished"]]

    def wake() -> None:
        set_all_states(own, counts["random"], accelerator.device)

    training.wake = wake


def _result(found: dict[str, Any], validation: dict[str, Tensor]) -> EpochResult:
    epoch = Epoch.model_validate(found["epoch"])
    return EpochResult(
        epoch=epoch,
        validation=RowOutputs(**{name: validation[f"{epoch.epoch}.{name}"] for name in ("logits", "losses")}),
        evaluate_seconds=found["evaluate_seconds"],
        computed_pieces=found["computed_pieces"],
        doublings=tuple(Doubling(**each) for each in found["doublings"]),
    )


def _told(doublings: Any) -> list[dict[str, int]]:
    return [asdict(each) for each in doublings]


def _names(training: Training) -> list[str]:
    """Return the parameters' names in the optimizer's order."""
    model = training.accelerator.unwrap_model(training.model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(p)] for group in training.optimizer.param_groups for p in group["params"]]


def _optimizer_tensors(training: Training) -> dict[str, Tensor]:
    state = training.optimizer.state_dict()["state"]
    names = _names(training)
    return {f"{names[i]}/{what}": tensor for i, found in state.items() for what, tensor in found.items()}


def _restore_optimizer(training: Training, tensors: dict[str, Tensor], learning_rates: list[float]) -> None:
    whole = training.optimizer.state_dict()
    by_name: dict[str, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        name, _, what = path.rpartition("/")
        by_name.setdefault(name, {})[what] = torch.clone(tensor)
    names = _names(training)
    whole["state"] = {i: by_name[name] for i, name in enumerate(names) if name in by_name}
    for group, rate in zip(whole["param_groups"], learning_rates, strict=True):
        group["lr"] = rate
    training.optimizer.load_state_dict(whole)
