"""Files that a run leaves behind, one reader a format: trainer_state.json, model card, executed notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from repro.diagnosis.logs import NEAR, SCORED, Log, log_entry, recipe_from, table_entries
from repro.diagnosis.notebook import run_from_notebook
from repro.diagnosis.student_run import PERCENT, StudentRun, checked
from repro.diagnosis.words import count, kind_of, number, pattern, refused
from repro.notebooks.reading import cells_of, parse_json, read_text

EXPECTED = (
    "a trainer_state.json, a model card (README.md) or an executed notebook (.ipynb); "
    "figures are given as in --f1 0.9226"
)
MOST_LOGS = 50_000  # entries; the Trainer writes one in 500 steps
ROUNDING = 1e-3  # of a figure at a card's head
MOST_TEXT = 500_000  # characters; a card has a few thousand


def run_from_file(path: Path) -> StudentRun:
    """Return the run that a file tells of; UsageError where it tells none."""
    text = read_text(path, f"Expected {EXPECTED}.")
    data = {"card": text} if path.suffix == ".md" else parse_json(text, str(path))
    readers: dict[str, Callable[[], StudentRun]] = {
        "card": lambda: _run_from_card(path.name, text),
        "cells": lambda: run_from_notebook(path.name, cells_of(data, path.name)),
        "log_history": lambda: _run_from_state(path.name, data),
    }
    for key, read in readers.items():
        if isinstance(data, dict) and key in data:
            return checked(read())
    raise refused("unknown format", source=path, expected=EXPECTED)


def _run_from_card(name: str, text: str) -> StudentRun:
    """Read a card as the Trainer writes it, also translated or with decimal commas: its head, settings and table."""
    lines = [line.strip() for line in text[:MOST_TEXT].splitlines()]
    stated = {match[1].strip(): match[2] for line in lines if (match := pattern("stated").match(line))}
    head = log_entry({f"eval_{w}": v for w, v in stated.items() if not kind_of(w, "hyperparameters")})
    entries = table_entries([line.strip("|").split("|") for line in lines if "|" in line[:1]])
    recipe = recipe_from(stated)
    if origin := pattern("origin").search("\n".join(lines)):
        recipe["checkpoint"] = origin[1]
        if origin[2] and origin[2] not in ("None", "unknown", "an"):
            recipe["corpus"] = origin[2]
    rows = [(entry["epoch"], entry.get("step")) for entry in entries if "epoch" in entry]
    epoch, done = rows[-1] if rows else (0, None)
    planned = float(recipe.get("epochs", 0))
    log = Log(entries=entries, later=head, recipe=recipe)
    if done and NEAR < epoch <= planned + NEAR - epoch / len(rows):  # stopped: another row would have fitted
        log = replace(log, done=int(done), steps=round(done / epoch * planned))
    run = log.to_run(name)
    for kind in [kind for kind in SCORED if kind in head]:
        values = [value for (of, _), value in run.figures.items() if of == kind]
        if values and all(abs(head[kind] / unit - value) > ROUNDING for value in values for unit in (1, PERCENT)):
            raise refused("card", source=name, kind=kind, value=head[kind])
    return run


def _run_from_state(name: str, data: Mapping[str, Any]) -> StudentRun:
    history = data["log_history"]
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history[:MOST_LOGS]):
        raise refused("state", source=name)
    done, planned = count(data.get("global_step")) or 0, count(data.get("max_steps")) or 0
    epochs = data.get("num_train_epochs") or data.get("epoch")
    recipe = recipe_from({"batch_size": data.get("train_batch_size") or None, "epochs": epochs})
    folder = str(data.get("best_model_checkpoint"))[:200].rpartition("/")[0].rpartition("/")[2]
    if named := pattern("named after").match(folder):
        recipe["checkpoint"] = named[1]
    entries = [log_entry(raw) for raw in history[:MOST_LOGS]]
    flos = number(data.get("total_flos")) or None
    return Log(entries=entries, recipe=recipe, steps=planned or done or None, done=done, flos=flos).to_run(name)
