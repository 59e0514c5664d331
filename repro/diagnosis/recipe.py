"""The recipe that a notebook's code states, up to the training whose figures are read; nothing is executed."""

from __future__ import annotations

import ast
import re
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from repro.diagnosis.trainer_logs import kind_of, number
from repro.notebooks.reading import Cell
from repro.notebooks.static import UNKNOWN, Built, Interpreter

# what TrainingArguments takes where the notebook names nothing (transformers 4 and 5)
DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 5e-5, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "weight_decay": 0.0,
    "num_train_epochs": 3, "lr_scheduler_type": "linear", "warmup_steps": 0, "warmup_ratio": 0.0,
    "label_smoothing_factor": 0.0, "logging_steps": None,
}  # fmt: skip
MOST_CODE = 200_000  # characters of code before the training that are read, the last ones
FILES = ("csv", "json", "text", "parquet", "pandas", "arrow")  # load_dataset's names for files of one's own
_SCRIPT = re.compile(r"\A\s*%%writefile\s[^\n]{1,200}\.py[ \t]*\n")  # its code is read as a cell's
_FLAG = re.compile(r"--(\w{1,40})[ =]([^\s-]\S{0,200})")
SPLITS = {"validation": "validation", "valid": "validation", "dev": "validation", "test": "test", "train": "train"}


@dataclass(frozen=True, kw_only=True)
class StatedRecipe:
    """What the code states: the recipe's parts, planned epochs, the split that is evaluated, steps between logs."""

    parts: Mapping[str, str | float] = field(default_factory=dict)
    epochs: int | None = None
    split: str | None = None
    logging_steps: float | None = None


def recipe_of(cells: Sequence[Cell]) -> StatedRecipe:
    """Read the cells in order; the arguments of the Trainer that was trained last count, else the last ones built."""
    code = Interpreter()
    sizes = list(accumulate(len(cell.source) for cell in reversed(cells)))
    for cell in cells[len(cells) - bisect(sizes, MOST_CODE) :]:
        code.run(_SCRIPT.sub("", cell.source))
    trainer = code.trained or _last(code.built, "Trainer") or Built(name="")
    hyperparameters = trainer.keywords.get("hyperparameters")
    if isinstance(hyperparameters, dict):  # a SageMaker estimator's
        return _from_words(hyperparameters)
    flags = _FLAG.findall("\n".join(line for line in cells[-1].magics if line.startswith("!"))) if cells else []
    arguments = trainer.keywords.get("args", trainer.args[1] if len(trainer.args) > 1 else UNKNOWN)
    if not isinstance(arguments, Built):
        arguments = _last(code.built, "TrainingArguments")
    parts = _checkpoints(code, trainer) | _corpus(code, trainer)
    if average := _average(code.names.get(_name_of(trainer.keywords.get("compute_metrics")))):
        parts["average"] = average
    evaluated = trainer.keywords.get("eval_dataset")
    split = SPLITS.get(str(evaluated.part)) if isinstance(evaluated, Built) else None
    flagged = _from_words(dict(flags))
    if arguments is None or flags:
        return replace(flagged, parts={**parts, **flagged.parts}, split=split)
    given = arguments.keywords if not arguments.complete else {**DEFAULTS, **arguments.keywords}
    parts |= _hyperparameters(given, own_optimizer="optimizers" in trainer.keywords)
    epochs = number(given.get("num_train_epochs"))
    return StatedRecipe(
        parts=parts,
        epochs=round(epochs) if epochs and 1 <= epochs < 1e6 and number(given.get("max_steps", -1)) == -1 else None,  # noqa: PLR2004
        split=split,
        logging_steps=number(given.get("logging_steps")),
    )


def _hyperparameters(given: Mapping[str, Any], *, own_optimizer: bool) -> dict[str, str | float]:
    stated: dict[str, float | None] = {name: number(given.get(name)) for name in DEFAULTS}
    parts: dict[str, str | float] = {}
    if not own_optimizer:
        parts |= {name: value for name in ("learning_rate", "weight_decay") if (value := stated[name]) is not None}
        if isinstance(schedule := given.get("lr_scheduler_type"), str):
            warm = any(stated[name] for name in ("warmup_steps", "warmup_ratio"))
            parts["schedule"] = schedule.rpartition(".")[2].lower() + (" with warm-up" if warm else "")
    batch, parts_of_it = stated["per_device_train_batch_size"], stated["gradient_accumulation_steps"]
    if batch and parts_of_it:
        parts["batch_size"] = batch * parts_of_it
    if smoothing := stated["label_smoothing_factor"]:
        parts["label_smoothing"] = smoothing
    return parts


def _from_words(given: Mapping[str, Any]) -> StatedRecipe:
    """Return what a dict of hyper-parameters states, whatever it calls them."""
    stated = {kind: value for name, value in given.items() if (kind := kind_of(name, "hyperparameters"))}
    parts: dict[str, str | float] = {
        kind: value
        for kind in ("learning_rate", "batch_size", "weight_decay")
        if (value := number(stated.get(kind))) is not None
    }
    if isinstance(checkpoint := stated.get("checkpoint"), str):
        parts["checkpoint"] = checkpoint
    epochs = number(stated.get("epochs"))
    return StatedRecipe(parts=parts, epochs=round(epochs) if epochs and 1 <= epochs < 1e6 else None)  # noqa: PLR2004


def _checkpoints(code: Interpreter, trainer: Built) -> dict[str, str | float]:
    """Return the checkpoints of model and tokenizer."""
    model = trainer.keywords.get("model", trainer.args[0] if trainer.args else UNKNOWN)
    if "model_init" in trainer.keywords:
        model = code.returned(trainer.keywords["model_init"])
    if not isinstance(model, Built):
        model = next((b for b in reversed(code.built) if "Model" in b.owner and b.name == "from_pretrained"), None)
    tokenizer = trainer.keywords.get("processing_class", trainer.keywords.get("tokenizer", code.names.get("tokenizer")))
    parts: dict[str, str | float] = {}
    if isinstance(model, Built) and model.keywords.get("requires_grad") is False:
        parts["frozen"] = "yes"
    for part, built in (("checkpoint", model), ("tokenizer", tokenizer)):
        if not isinstance(built, Built):
            continue
        source = built.keywords.get("pretrained_model_name_or_path", built.args[0] if built.args else UNKNOWN)
        if built.name == "from_pretrained" and isinstance(source, str):
            parts[part] = source
        elif built.name in ("from_config", "get_peft_model"):
            parts[part] = {"from_config": "one without pretrained weights", "get_peft_model": "an adapter"}[built.name]
    return parts


def _corpus(code: Interpreter, trainer: Built) -> dict[str, str | float]:
    rows = trainer.keywords.get("train_dataset")
    if not (isinstance(rows, Built) and rows.name == "load_dataset"):
        rows = _last(code.built, "load_dataset")
    names = [name for name in rows.args[:2] if isinstance(name, str)] if rows else []
    return {"corpus": "/".join(names)} if names and names[0] not in FILES else {}


def _average(function: Any) -> str | None:
    """Return the last `average=` in the function that computes the metrics."""
    if not isinstance(function, ast.FunctionDef):
        return None
    words = [word for node in ast.walk(function) if isinstance(node, ast.Call) for word in node.keywords]
    averages = [word.value.value for word in words if word.arg == "average" and isinstance(word.value, ast.Constant)]
    return averages[-1] if averages and isinstance(averages[-1], str) else None


def _name_of(function: Any) -> str:
    return function.name if isinstance(function, ast.FunctionDef) else "compute_metrics"


def _last(built: Sequence[Built], name: str) -> Built | None:
    return next((each for each in reversed(built) if each.name.endswith(name)), None)
