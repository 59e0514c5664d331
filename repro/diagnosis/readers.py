"""Files that a run leaves behind, as figures: trainer_state.json, the Trainer's model card, a notebook, a record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from repro.diagnosis.executed import from_notebook
from repro.diagnosis.student_runs import StudentRun, checked
from repro.diagnosis.trainer_logs import Figures, from_logs, from_table, is_float
from repro.errors import RecordError, UsageError
from repro.records.record import SCHEMA_VERSION, read_record

LARGEST = 200 * 2**20  # bytes; an executed notebook with pictures has a few million
KNOWN = "a trainer_state.json, a model card (README.md), an executed notebook (.ipynb) or one of our records"


def run_from_file(path: Path) -> StudentRun:
    """Return the run that a file tells of; UsageError where it tells none, RecordError for a record gone bad."""
    text = _text(path)
    name = path.name
    if path.suffix == ".md":
        return checked(_from_card(name, text))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is no complete JSON: {error}", f"Save or copy it again, whole; expected {KNOWN}."
        ) from None
    if isinstance(data, dict):
        readers: dict[str, Callable[[], StudentRun]] = {
            "cells": lambda: from_notebook(name, data),
            "log_history": lambda: _from_state(name, data),
            "schema_version": lambda: _from_record(path, data),
        }
        for key, read in readers.items():
            if key in data:
                try:
                    return checked(read())
                except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
                    raise UsageError(
                        f"{path} is not laid out as such a file is: {error}", "Save it again; edits by hand show here."
                    ) from None
    raise UsageError(f"{path} is none that is known", f"Expected {KNOWN}.")


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder", f"Name a file: {KNOWN}.")
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} has more than {LARGEST // 2**20} MiB", f"Expected {KNOWN}.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", f"Name {KNOWN}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text", f"Expected {KNOWN}.") from None


def _from_state(name: str, data: Mapping[str, Any]) -> StudentRun:
    steps, most = int(data.get("global_step") or 0), int(data.get("max_steps") or 0)
    if steps < most:
        raise UsageError(
            f"{name} stops at step {steps} of {most}", f"Take the one of the last checkpoint, checkpoint-{most}."
        )
    batch = data.get("train_batch_size")
    return StudentRun(
        source=name,
        figures=from_logs(data["log_history"]),
        epochs=round(float(data.get("num_train_epochs") or data["epoch"])),
        steps=steps or None,
        flos=float(data["total_flos"]) if data.get("total_flos") else None,
        recipe={"batch_size": batch} if batch else {},
    )


def _from_card(name: str, text: str) -> StudentRun:
    stated = dict(re.findall(r"^- ([a-z0-9_ ]+): (.+?)\s*$", text, re.MULTILINE | re.IGNORECASE))
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    figures, steps = from_table(table)
    told = stated.get("num_epochs")
    epochs = round(float(told)) if told and is_float(told) and isfinite(float(told)) else None
    named = {"Accuracy": "accuracy", "F1": "f1", "Loss": "valid_loss"}
    header = {kind: float(stated[key]) for key, kind in named.items() if is_float(stated.get(key))}
    for kind, value in header.items():
        rows = figures.setdefault(kind, {})
        if rows and all(abs(value - found) > 1e-3 for found in rows.values()):  # noqa: PLR2004 (beyond rounding)
            raise UsageError(
                f"{name} contradicts itself: {kind} is {value} at its head and never so in its table",
                "Take the card as the Trainer wrote it.",
            )
        if not rows:
            rows[epochs or 2] = value
    recipe: dict[str, str | float] = {}
    for key, meant in (("learning_rate", "learning_rate"), ("train_batch_size", "batch_size")):
        if is_float(stated.get(key)):
            recipe[meant] = float(stated[key])
    if is_float(stated.get("total_train_batch_size")):
        recipe["batch_size"] = float(stated["total_train_batch_size"])
    if found := re.search(r"fine-tuned version of \[([^\]]+)\].*? on the (\S+) dataset", text, re.DOTALL):
        recipe["checkpoint"] = found.group(1)
        if "emotion" not in found.group(2).lower() and found.group(2) not in ("None", "unknown"):
            recipe["corpus"] = found.group(2)
    return StudentRun(source=name, figures=figures, epochs=epochs, steps=steps, recipe=recipe)


def _from_record(path: Path, data: Mapping[str, Any]) -> StudentRun:
    if data["schema_version"] not in range(1, SCHEMA_VERSION + 1):
        raise RecordError(
            f"{path} is a record of schema {data['schema_version']}, this version reads schema {SCHEMA_VERSION}",
            "Use the version of the suite that wrote it, or run the experiment again.",
        )
    if data.get("experiment") != "finetune":
        raise UsageError(
            f"{path} is a record of {data.get('experiment')}", "A record of finetune can be diagnosed; name one."
        )
    record = read_record(path)
    figures: Figures = {"train_loss": {e.epoch: e.train_loss for e in record.epochs}}
    for e in record.epochs:
        if scores := record.scores.get(f"epoch-{e.epoch}/validation"):
            figures.setdefault("accuracy", {})[e.epoch] = scores.accuracy
            figures.setdefault("f1", {})[e.epoch] = scores.weighted_f1
            if scores.loss is not None:
                figures.setdefault("valid_loss", {})[e.epoch] = scores.loss
    stated = ("checkpoint", "learning_rate", "batch_size", "weight_decay")
    rows = record.rows.get("validation")
    return StudentRun(
        source=path.name,
        figures=figures,
        epochs=len(record.epochs) or None,
        steps=sum(e.steps for e in record.epochs) or None,
        one_class=rows is not None and len(set(rows.predictions)) == 1,
        recipe={**{key: getattr(record.recipe, key) for key in stated}, "corpus": record.corpus.name},
    )
