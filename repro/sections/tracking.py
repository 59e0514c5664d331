"""Trackers through Accelerate (seed, "Training the model": `report_to`): none by default, as in the notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from repro.errors import UsageError, unknown

if TYPE_CHECKING:
    from repro.records.schema import Scores
    from repro.sections.context import Context
    from repro.training.epochs import EpochResult

TRACKERS = ("none", "wandb", "tensorboard")
PROJECT = "seminar-repro"
LogEpoch = Callable[["EpochResult", "Scores"], None]


def check_tracker(name: str) -> str:
    """Return the tracker's name; UsageError where it is unknown or not installed."""
    if name not in TRACKERS:
        raise unknown("tracker", name, list(TRACKERS))
    if name != "none" and find_spec(name) is None:
        raise UsageError(
            f"--track {name}: {name} is not installed",
            f"Install it with pip install {name}, or leave --track out; nothing was run.",
        )
    return name


@contextmanager
def tracked(context: Context, seed: int) -> Iterator[LogEpoch]:
    """Give a function that logs one epoch and its scores at its optimizer step; it does nothing for `none`."""
    if context.outputs.track == "none":
        yield lambda result, scores: None
        return
    from accelerate.tracking import filter_trackers

    accelerator, steps = context.accelerator, 0
    context.outputs.tracking_folder.mkdir(parents=True, exist_ok=True)
    accelerator.project_configuration.set_directories(str(context.outputs.tracking_folder))
    accelerator.log_with = filter_trackers(context.outputs.track, accelerator.logging_dir)
    if not accelerator.log_with:  # what accelerate cannot use it leaves out without a word
        raise UsageError(f"--track {context.outputs.track}: accelerate cannot use it here", "Leave --track out.")
    stamp = {**context.recipe_stamp().model_dump(), **context.settings(seed).model_dump()}
    config = {name: value for name, value in stamp.items() if value is not None}
    accelerator.init_trackers(PROJECT, config={**config, "corpus": context.corpus.stamp.name})

    def log(result: EpochResult, scores: Scores) -> None:
        nonlocal steps
        steps += result.epoch.steps
        epoch = result.epoch.model_dump(include={"epoch", "train_loss", "train_seconds", "tweets_per_second"})
        values = {"loss": scores.loss, "accuracy": scores.accuracy, "f1": scores.weighted_f1}
        accelerator.log({**epoch, **{f"validation_{name}": value for name, value in values.items()}}, step=steps)

    try:
        yield log
    finally:
        for tracker in accelerator.trackers:  # end_training would also end the processes' group
            tracker.finish()
        accelerator.trackers.clear()
