"""A stranger's run as figures: by epoch, checked for what no run can have, and what it says of its recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from repro.errors import UsageError

EPOCHS = 2
ONE_EPOCH = (63, 250, 251, 472)  # counts of one epoch that are known; no run of two epochs has so few
SCORES = ("accuracy", "f1", "macro_f1")
PERCENT = 100
CONTRADICTION = 0.02  # weighted F1 is at most a little above the accuracy: 0.0004 in the reruns
NOTEBOOK_FLOS = 6 * 43_123_974 * 32_000 * 87
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class StudentRun:
    """What a run reports: figures by `kind` and epoch, steps in all, epochs run, and its stated recipe.

    `recipe` holds what is stated under the keys of `mistakes.toml`; `stopped` says where a training ended that did
    not reach its end, `remarks` what a reader of the file has to know of its figures.
    """

    source: str
    figures: Mapping[str, Mapping[int, float]]
    epochs: int | None = None
    steps: int | None = None
    flos: float | None = None
    split: str | None = None
    one_class: bool = False
    stopped: str = ""
    recipe: Mapping[str, str | float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def epochs_run(self) -> int:
        """The number of epochs, where it is not stated the seminar's two, or one for a step count of one epoch."""
        if self.epochs is not None:
            return self.epochs
        most = max((max(values) for values in self.figures.values() if values), default=EPOCHS)
        return 1 if self.steps in ONE_EPOCH and most <= EPOCHS else max(most, EPOCHS)

    def facts(self) -> dict[str, float | str]:
        """Return everything that a sign of a mistake may ask for; `mistakes.toml` names the facts in its head."""
        facts: dict[str, float | str] = {
            f"{kind}_{epoch}": value
            for kind, values in self.figures.items()
            for epoch, value in values.items()
            if epoch <= EPOCHS
        }
        last = {kind: values[EPOCHS] for kind, values in self.figures.items() if EPOCHS in values}
        if "accuracy" in last and "f1" in last:
            facts["gap"] = last["accuracy"] - last["f1"]
        if self.steps is not None:
            an_epoch = self.steps / self.epochs_run
            facts |= {"steps": self.steps, "steps_per_epoch": an_epoch, "rows": BATCH * an_epoch}
        if self.steps is not None or self.epochs is not None:
            facts["epochs"] = self.epochs_run
        if self.flos is not None:
            facts |= {"flos": self.flos, "flos_share": self.flos / NOTEBOOK_FLOS}
            if self.steps:
                facts["pieces"] = 87 * 500 * self.flos / NOTEBOOK_FLOS / self.steps
        facts |= {"split": self.split} if self.split else {}
        facts |= {name: self.recipe[name] for name in ("average", "frozen") if name in self.recipe}
        return facts | ({"one_class": "yes"} if self.one_class else {})


def checked(run: StudentRun) -> StudentRun:
    """Return the run if its figures are ones that a run can have; UsageError names the first that is not."""
    if not any(run.figures.values()) and run.steps is None and not run.stopped:
        raise UsageError(f"{run.source}: no figure of a run is in it", "Give a FILE or figures, such as --f1 0.9226.")
    for kind, values in run.figures.items():
        for value in values.values():
            _possible(kind, value)
    for what, stated in {"total_flos": run.flos, **run.recipe}.items():
        least = 0 if what in ("weight_decay", "label_smoothing") else math.ulp(0)
        if isinstance(stated, int | float) and not least <= stated < math.inf:
            meant = what.replace("_", " ")
            raise UsageError(f"{meant} {stated}, expected a number above 0", "Leave out what is not known.")
    if run.epochs is not None and run.epochs < 1:
        raise UsageError(f"{run.epochs} epochs, expected at least 1", "Give the number of epochs that were run.")
    if run.steps is not None and run.steps < 1:
        raise UsageError(f"{run.steps} steps, expected at least 1", "Give the number of optimizer steps in all.")
    for epoch, f1 in run.figures.get("f1", {}).items():
        accuracy = run.figures.get("accuracy", {}).get(epoch, f1)
        if f1 - accuracy > CONTRADICTION:
            raise UsageError(
                f"contradictory: F1 {f1} with an accuracy of {accuracy}; a weighted F1 is hardly ever above it",
                "Check which figure belongs to which split, run and epoch.",
            )
    return run


def as_shares(run: StudentRun) -> StudentRun:
    """Return a file's run with scores above 1 read as percentages, and a remark that says so."""
    scores = [value for kind in SCORES for value in run.figures.get(kind, {}).values()]
    if not scores or not 1.5 < min(scores) <= max(scores) <= PERCENT:  # noqa: PLR2004
        return run
    figures = {
        kind: {epoch: value / PERCENT if kind in SCORES else value for epoch, value in values.items()}
        for kind, values in run.figures.items()
    }
    return replace(run, figures=figures, remarks=(*run.remarks, "its scores are percentages, read as shares of 1"))


def run_from_figures(given: Mapping[str, str | None], **stated: object) -> StudentRun:
    """Return the run that options describe: `0.17,0.11` is epoch by epoch, one number the end of the run.

    UsageError where a figure is no number, impossible, or contradicts another.
    """
    epochs = stated.get("epochs")
    lists = {kind: _numbers(kind, text) for kind, text in given.items() if text is not None}
    lengths = {len(values) for values in lists.values() if len(values) > 1}
    if len(lengths) > 1 or (lengths and isinstance(epochs, int) and lengths != {epochs}):
        counts = [f"{len(values)} of {_name(kind)}" for kind, values in lists.items()]
        counts += [f"{epochs} epochs"] if epochs else []
        raise UsageError(
            f"contradictory: figures of different numbers of epochs ({', '.join(counts)})",
            "Give each figure once for every epoch, or once for the last.",
        )
    steps = stated.get("steps")
    last = next(iter(lengths), epochs if isinstance(epochs, int) else 1 if steps in ONE_EPOCH else EPOCHS)
    figures = {
        kind: {last: values[0]} if len(values) == 1 else dict(enumerate(values, start=1))
        for kind, values in lists.items()
    }
    run = checked(StudentRun(source="the figures given", figures=figures, **stated))  # type: ignore[arg-type]
    if run.steps is not None and run.steps % run.epochs_run:
        raise UsageError(
            f"contradictory: {run.steps} steps are no whole number an epoch in {run.epochs_run} epochs",
            "Give --steps in all, and --epochs if they were not two.",
        )
    return run


def _numbers(kind: str, text: str) -> Sequence[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{_name(kind)} is {text!r}, expected a number, or one for each epoch",
            "Write 0.9226, or 0.8409,0.2550 epoch by epoch.",
        ) from None


def _possible(kind: str, value: float) -> None:
    name, option = _name(kind), f"--{kind.replace('_', '-')}"
    if not math.isfinite(value):
        raise UsageError(
            f"{name} is {value}: a run whose figures are not finite has failed, there is nothing to place",
            "Look for where the loss stopped being a number; too high a learning rate is the usual cause.",
        )
    if kind in SCORES and 1 < value <= PERCENT:
        raise UsageError(
            f"{name} is {value:g}, expected a share between 0 and 1",
            f"Did you mean {value / PERCENT:g}? Then give {option} {value / PERCENT:g}.",
        )
    if value < 0 or (kind in SCORES and value > 1):
        expected = "a share between 0 and 1" if kind in SCORES else "a mean cross-entropy of 0 or more"
        raise UsageError(f"{name} is {value:g}, expected {expected}", f"Check the number given as {option}.")


def _name(kind: str) -> str:
    return {"f1": "F1", "train_loss": "training loss", "valid_loss": "validation loss"}.get(kind, kind)
