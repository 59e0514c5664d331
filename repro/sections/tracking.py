"""Trackers through Accelerate (seed, "Training the model": `report_to`): none by default, as in the notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from repro.errors import UsageError, unknown

if TYPE_CHECKING:
    from repro.records.schema import Epoch, Scores
    from repro.sections.context import Context

TRACKERS = ("none", "wandb", "tensorboard")
LogEpoch = Callable[["Epoch", "Scores"], None]


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
    """Give a function that logs one epoch and its scores at its optimizer step; for `none` there is no tracker."""
    accelerator, folder = context.accelerator, context.outputs.tracking_folder
    if context.outputs.track != "none":
        folder.mkdir(parents=True, exist_ok=True)
        accelerator.project_configuration.set_directories(str(folder))
        accelerator.log_with = [context.outputs.track]
        stamp = {**context.recipe_stamp().model_dump(), **context.settings(seed).model_dump()}
        config = {name: value for name, value in stamp.items() if value is not None}
        accelerator.init_trackers("seminar-repro", config={**config, "corpus": context.corpus.stamp.name})

    def log(epoch: Epoch, scores: Scores) -> None:
        values = epoch.model_dump(include={"epoch", "train_loss", "train_seconds", "tweets_per_second"})
        of_validation = {"loss": scores.loss, "accuracy": scores.accuracy, "f1": scores.weighted_f1}
        values |= {f"validation_{name}": value for name, value in of_validation.items()}
        accelerator.log(values, step=epoch.epoch * epoch.steps)

    try:
        yield log
    finally:
        for tracker in accelerator.trackers:  # end_training would also end the processes' group
            tracker.finish()
        accelerator.trackers.clear()
