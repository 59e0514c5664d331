"""A model card as the Trainer writes it, also translated or with decimal commas: its head, settings and table."""

from __future__ import annotations

import re

from repro.diagnosis.student_run import StudentRun
from repro.diagnosis.trainer_logs import (
    NEAR,
    SCORED,
    Entry,
    figures_of,
    kind_of,
    log_entry,
    number,
    other_metric,
    table_entries,
    total_steps,
)
from repro.errors import UsageError

MOST_TEXT = 500_000  # characters; a card has a few thousand
_STATED = re.compile(r"[-*] \**([^:*]{1,60})\**\s?[::]\**\s?(\S.{0,200})")
_ORIGIN = re.compile(r"fine-tuned version of \[([^\]]{1,200})\](?:[^\n]{0,300}? on the (\S{1,200}) dataset)?")


def run_from_card(name: str, text: str) -> StudentRun:
    """Return the run that a card tells of; UsageError where its head and its table contradict each other."""
    lines = [line.strip() for line in text[:MOST_TEXT].splitlines()]
    stated = [(match[1].strip(), match[2].strip()) for line in lines if (match := _STATED.match(line))]
    entries = table_entries(
        [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line[:1]]
    )
    settings = {kind: value for word, value in stated if (kind := kind_of(word, "hyperparameters"))}
    planned = number(settings.get("epochs"))
    epochs = max(round(planned), 1) if planned and planned < 1e6 else None  # noqa: PLR2004
    figures = figures_of(entries)
    head_entry = log_entry({f"eval_{word}": value for word, value in stated if not kind_of(word, "hyperparameters")})
    for kind in SCORED:
        if (value := head_entry.get(kind)) is None:
            continue
        rows = figures.setdefault(kind, {})
        if rows and all(abs(value - found) > 1e-3 for found in rows.values()):  # noqa: PLR2004 (beyond rounding)
            raise UsageError(
                f"{name} contradicts itself: {kind} is {value} at its head and never so in its table",
                "Take the card as the Trainer wrote it.",
            )
        if not rows:
            rows[epochs or 2] = value
    steps = total_steps(entries)
    return StudentRun(
        source=name,
        figures=figures,
        epochs=epochs,
        steps=steps,
        stopped=_stopped(entries, epochs, steps),
        recipe=_recipe(settings, "\n".join(lines)) | other_metric([*entries, head_entry]),
        remarks=("its training losses are no means over single epochs",) if _unplaced_loss(entries, figures) else (),
    )


def _recipe(settings: dict[str, str], text: str) -> dict[str, str | float]:
    recipe: dict[str, str | float] = {}
    batch = number(settings.get("total_batch_size")) or number(settings.get("batch_size"))
    rate = number(settings.get("learning_rate"))
    recipe |= {"batch_size": batch} if batch else {}
    recipe |= {"learning_rate": rate} if rate is not None else {}
    if smoothing := number(settings.get("label_smoothing")):
        recipe["label_smoothing"] = smoothing
    if schedule := settings.get("schedule"):
        warm = number(settings.get("warmup"))
        recipe["schedule"] = schedule.rpartition(".")[2].lower() + (" with warm-up" if warm else "")
    if origin := _ORIGIN.search(text):
        recipe["checkpoint"] = origin[1]
        if origin[2] and origin[2] not in ("None", "unknown", "an"):
            recipe["corpus"] = origin[2]
    return recipe


def _stopped(entries: list[Entry], epochs: int | None, steps: int | None) -> str:
    """Tell where the table ends too early: another row would have fitted before the planned end."""
    at = [entry["epoch"] for entry in entries if "epoch" in entry]
    if not at or not epochs or at[-1] + (at[-1] / len(at)) > epochs + NEAR:
        return ""
    whole = f"step {steps:,} of {round(steps / at[-1] * epochs):,}, " if steps else ""
    return f"at {whole}epoch {at[-1]:g} of {epochs}"


def _unplaced_loss(entries: list[Entry], figures: dict[str, dict[int, float]]) -> bool:
    return any("train_loss" in entry for entry in entries) and len(figures.get("train_loss", {})) < round(
        max(entry.get("epoch", 0) for entry in entries)
    )
