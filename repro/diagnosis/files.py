"""Files that a run leaves behind, one reader a format: trainer_state.json, model card, executed notebook, record."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from repro.diagnosis.cards import run_from_card
from repro.diagnosis.executed import run_from_notebook
from repro.diagnosis.student_run import StudentRun, as_shares, checked
from repro.diagnosis.trainer_logs import (
    SCORED,
    Figures,
    count,
    figures_of,
    log_entry,
    number,
    other_metric,
    schedule_of,
)
from repro.errors import RecordError, UsageError
from repro.notebooks.reading import cells_of, parse_json, read_text
from repro.records.schema import SCHEMA_VERSIONS
from repro.records.store import read_record

EXPECTED = "a trainer_state.json, a model card (README.md), an executed notebook (.ipynb) or one of our records"
MOST_LOGS = 50_000  # entries; the Trainer writes one in 500 steps
# a folder named by the notebook's own convention, `<checkpoint>-finetuned-<corpus>/checkpoint-500`, of another encoder
_NAMED_AFTER = re.compile(
    r"((?:distil)?(?:bert|roberta)-(?:base|large)[\w-]{0,40}|(?:albert|electra|xlm|deberta)[\w-]{0,40})-finetuned-"
)


def run_from_file(path: Path) -> StudentRun:
    """Return the run that a file tells of; UsageError where it tells none, RecordError for a record gone bad."""
    text = read_text(path, f"Expected {EXPECTED}.")
    name = path.name
    if path.suffix == ".md":
        return checked(as_shares(run_from_card(name, text)))
    data = parse_json(text, str(path))
    readers: dict[str, Callable[[], StudentRun]] = {
        "cells": lambda: run_from_notebook(name, cells_of(data, name)),
        "log_history": lambda: _run_from_state(name, data),
        "schema_version": lambda: _run_from_record(path, data),
    }
    for key, read in readers.items():
        if isinstance(data, dict) and key in data:
            return checked(as_shares(read()))
    raise UsageError(f"{path} is of no known format", f"Expected {EXPECTED}.")


def _run_from_state(name: str, data: Mapping[str, Any]) -> StudentRun:
    logs = data["log_history"]
    if not isinstance(logs, list) or not all(isinstance(entry, dict) for entry in logs[:MOST_LOGS]):
        raise UsageError(f"{name} is not laid out as a trainer_state.json is", "Take it as the Trainer wrote it.")
    entries = [log_entry(raw) for raw in logs[:MOST_LOGS]]
    done, planned = count(data.get("global_step")) or 0, count(data.get("max_steps")) or 0
    epochs = number(data.get("num_train_epochs") or data.get("epoch"))
    figures = figures_of(entries)
    recipe = schedule_of(entries, planned or done) | other_metric(entries)
    if batch := number(data.get("train_batch_size")):
        recipe["batch_size"] = batch
    if named := _NAMED_AFTER.match(str(data.get("best_model_checkpoint"))[:200].rpartition("/")[0].rpartition("/")[2]):
        recipe["checkpoint"] = named[1]
    whole_epochs = max(round(epochs), 1) if epochs and epochs < 1e6 else None  # noqa: PLR2004
    remarks = []
    if (scored := [epoch for kind in SCORED for epoch in figures.get(kind, {})]) and whole_epochs:
        if max(scored) < whole_epochs:
            remarks.append(f"no evaluation after epoch {max(scored)} is in it")
    elif any(kind in entry for entry in entries for kind in SCORED):
        remarks.append("its evaluations are none of an epoch's end")
    return StudentRun(
        source=name,
        figures=figures,
        epochs=whole_epochs,
        steps=planned or done or None,
        flos=number(data.get("total_flos")) or None,
        stopped=f"at step {done:,} of {planned:,}" if done < planned else "",
        recipe=recipe,
        remarks=tuple(remarks),
    )


def _run_from_record(path: Path, data: Mapping[str, Any]) -> StudentRun:
<<<<<<< HEAD
    if data["schema_version"] not in range(1, SCHEMA_VERSION + 1):
        raise RecordError(
            f"{path} is a record of schema {data['schema_version']}, this version reads those up to {SCHEMA_VERSION}",
=======
    if data["schema_version"] not in SCHEMA_VERSIONS:
        raise RecordError(
            f"{path} is a record of schema {data['schema_version']}, this version reads schema "
            f"{SCHEMA_VERSIONS[0]} to {SCHEMA_VERSIONS[-1]}",
>>>>>>> main
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
