"""What the Trainer logs and tabulates, as figures by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {"training loss": "train_loss", "validation loss": "valid_loss", "accuracy": "accuracy", "f1": "f1"}
EVALUATED = {"valid_loss": "loss", "accuracy": "accuracy", "f1": "f1"}  # behind eval_ or test_ in its logs
Figures = dict[str, dict[int, float]]


def from_logs(logs: Sequence[Mapping[str, Any]]) -> Figures:
    """Return the figures of a Trainer's log: scores by epoch, training losses averaged over an epoch's steps."""
    figures: Figures = {}
    losses: dict[int, list[tuple[float, float]]] = {}
    before = 0.0
    for entry in logs:
        epoch = float(entry.get("epoch") or 0)
        for prefix in ("eval", "test"):
            for kind, key in EVALUATED.items():
                if f"{prefix}_{key}" in entry and epoch and epoch.is_integer():
                    figures.setdefault(kind, {})[int(epoch)] = float(entry[f"{prefix}_{key}"])
        if "loss" in entry and epoch > before:
            whole = -int(-epoch // 1)
            if before >= whole - 1:  # a mean over more than one epoch's steps belongs to none
                losses.setdefault(whole, []).append((epoch - before, float(entry["loss"])))
            before = epoch
    for epoch, found in losses.items():
        share = sum(part for part, _ in found)
        if share > 0.99:  # noqa: PLR2004 (of an epoch: the last log may miss a step)
            figures.setdefault("train_loss", {})[epoch] = sum(part * loss for part, loss in found) / share
    return figures


def from_table(table: Sequence[Sequence[str]]) -> tuple[Figures, int | None]:
    """Return the figures and the last step of the Trainer's table of results: its rows at the end of an epoch."""
    figures: Figures = {}
    steps = None
    head: list[str] = []
    for row in table:
        lowered = [cell.lower() for cell in row]
        if "training loss" in lowered:
            head = lowered
            continue
        cells = dict(zip(head, row, strict=False))
        if not is_float(cells.get("epoch")) or not float(cells["epoch"]).is_integer():
            continue
        for column, kind in COLUMNS.items():
            if is_float(cells.get(column)):
                figures.setdefault(kind, {})[int(float(cells["epoch"]))] = float(cells[column])
        if cells.get("step", "").isdigit():
            steps = int(cells["step"])
    return figures, steps


def is_float(text: str | None) -> bool:
    """Tell whether the text is a number."""
    try:
        float(text or "")
    except ValueError:
        return False
    return True
