"""A stranger's run as figures: by epoch, checked for what no run can have, and what it says of its recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from repro.diagnosis.words import refused

EPOCHS = 2
ONE_EPOCH = (63, 250, 251, 472)  # counts of one epoch that are known; no run of two epochs has so few
SHARES = ("accuracy", "f1", "macro_f1")
PERCENT = 100
CONTRADICTION = 0.02  # weighted F1 is at most a little above the accuracy: 0.0004 in the reruns
NOTEBOOK_FLOS = 6 * 43_123_974 * 32_000 * 87
BATCH = 64
Figures = dict[tuple[str, int], float]  # by kind, such as valid_loss, and epoch


@dataclass(frozen=True)
class StudentRun:
    """What a run reports: figures, steps in all, epochs run, and its recipe under the keys of `mistakes.toml`.

    `stopped` says where a training ended that did not reach its end, `remarks` what is to be known of the figures.
    """

    source: str
    figures: Figures
    epochs: int | None = None
    steps: int | None = None
    flos: float | None = None
    split: str | None = None
    stopped: str = ""
    recipe: Mapping[str, str | float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def epochs_run(self) -> int:
        """The number of epochs, where it is not stated the seminar's two, or one for a step count of one epoch."""
        if self.epochs is not None:
            return self.epochs
        most = max((epoch for _, epoch in self.figures), default=EPOCHS)
        return 1 if self.steps in ONE_EPOCH and most <= EPOCHS else max(most, EPOCHS)

    def facts(self) -> dict[str, float]:
        """Return everything that a sign of a mistake may ask for; `mistakes.toml` names the facts in its head."""
        facts = {f"{kind}_{epoch}": value for (kind, epoch), value in self.figures.items() if epoch <= EPOCHS}
        if {"accuracy_2", "f1_2"} <= facts.keys():
            facts["gap"] = facts["accuracy_2"] - facts["f1_2"]
        if self.steps is not None or self.epochs is not None:
            facts["epochs"] = self.epochs_run
        if self.steps is not None:
            an_epoch = self.steps / self.epochs_run
            facts |= {"steps": self.steps, "steps_per_epoch": an_epoch, "rows": BATCH * an_epoch}
        if self.flos and self.steps:
            facts |= {"flos_share": (share := self.flos / NOTEBOOK_FLOS), "pieces": 87 * 500 * share / self.steps}
        named = {"split": self.split, **{part: self.recipe.get(part) for part in ("average", "frozen")}}
        return facts | {f"{part}_{value}": 1 for part, value in named.items() if value}


def name_of(kind: str) -> str:
    """Return what a kind of figure is called."""
    return {"f1": "F1", "train_loss": "training loss", "valid_loss": "validation loss"}.get(kind, kind)


def checked(run: StudentRun) -> StudentRun:
    """Return the run if its figures are ones that a run can have; UsageError names the first that is not."""
    if not run.figures and run.steps is None and not run.stopped:
        raise refused("no figure", source=run.source)
    for (kind, epoch), value in run.figures.items():
        accuracy = run.figures.get(("accuracy", epoch), value)
        wrong = {
            "not finite": not math.isfinite(value),
            "percent": kind in SHARES and 1 < value <= PERCENT,
            "no share": kind in SHARES and not 0 <= value <= 1,
            "no loss": value < 0,
            "f1 above accuracy": kind == "f1" and value - accuracy > CONTRADICTION,
        }
        if why := next((why for why, holds in wrong.items() if holds), None):
            about = {"name": name_of(kind), "option": f"--{kind.replace('_', '-')}", "share": value / PERCENT}
            raise refused(why, value=value, accuracy=accuracy, **about)
    for part, stated in {"epochs": run.epochs, "steps": run.steps, "total_flos": run.flos, **run.recipe}.items():
        least = 0 if part in ("weight_decay", "label_smoothing") else math.ulp(0)
        if isinstance(stated, int | float) and not least <= stated < math.inf:
            raise refused("not positive", name=part.replace("_", " "), value=stated)
    return run


def run_from_figures(
    given: Mapping[str, str | None], *, epochs: int | None = None, steps: int | None = None, **stated: Any
) -> StudentRun:
    """Return the run that options describe: `0.17,0.11` is epoch by epoch, one number the end of the run.

    UsageError where a figure is no number, impossible, or contradicts another.
    """
    try:
        values = {kind: [float(x) for x in text.split(",")] for kind, text in given.items() if text is not None}
    except ValueError as error:
        raise refused("no number", problem=error) from None
    lengths = {len(numbers) for numbers in values.values()} - {1}
    if len(lengths) > 1 or (lengths and epochs and lengths != {epochs}):
        counts = [f"{len(numbers)} of {name_of(kind)}" for kind, numbers in values.items()]
        raise refused("lengths", counts=", ".join(counts + ([f"{epochs} epochs"] if epochs else [])))
    last = next(iter(lengths), epochs or (1 if steps in ONE_EPOCH else EPOCHS))
    figures = {
        (kind, epoch): value
        for kind, numbers in values.items()
        for epoch, value in enumerate(numbers, start=last + 1 - len(numbers))
    }
    flos, split = stated.pop("flos", None), stated.pop("split", None)
    recipe = {part: value for part, value in stated.items() if value is not None}
    run = checked(StudentRun("the figures given", figures, epochs, steps, flos, split, recipe=recipe))
    if steps and steps % run.epochs_run:
        raise refused("steps", steps=steps, epochs=run.epochs_run)
    return run
