"""An executed notebook as figures: the last training that its outputs show, and the recipe that its code states.

Nothing is executed; the code before the training is evaluated on its syntax tree, as far as it is constant.
"""

from __future__ import annotations

import ast
import html
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, islice
from typing import Any

from repro.diagnosis.logs import SCORED, Entry, Log, Recipe, last_training, log_entry, recipe_from, table_entries
from repro.diagnosis.student_run import StudentRun
from repro.diagnosis.words import count, kind_of, load, number, pattern, refused
from repro.notebooks.reading import Cell, Output
from repro.notebooks.static import UNKNOWN, Built, Interpreter

MOST_TEXT = 3_000_000  # characters of all outputs that may hold logs
MOST_LOGS = 20_000
A_DICT = 40  # characters that are read in the time of one dict
MOST_IN_A_ROW = 50  # cells
MOST_CODE = 200_000  # characters of code before the training that are read, the last ones
OTHER_MODELS = {"from_config": "one without pretrained weights", "get_peft_model": "an adapter"}
FILES = ("csv", "json", "text", "parquet", "pandas", "arrow")  # load_dataset's names for files of one's own


def run_from_notebook(name: str, cells: Sequence[Cell]) -> StudentRun:
    """Return the run that the notebook's outputs show; UsageError where it holds none."""
    if not any(cell.outputs for cell in cells):
        raise refused("no outputs", source=name)
    at, log = _last_training([(cell, log) for cell, texts in _bounded(cells) if (log := _training(cell, texts))])
    log = _with_code(log, cells[:at])
    run = log.to_run(name)
    if not run.stopped and not any(kind in SCORED for kind, _ in run.figures):
        after = cells[(at or 1) - 1 :]
        later = {kind: v for _, texts in _bounded(after) for entry in _logged(texts) for kind, v in entry.items()}
        tested = any(re.search(r"\[[\"']test[\"']\]", cell.source) for cell in after)
        run = replace(log, later=later, split="test" if tested else log.split).to_run(name)
    if not run.figures and not run.stopped:
        raise refused("no training", source=name)
    return run


def _last_training(trainings: list[tuple[Cell, Log]]) -> tuple[int | None, Log]:
    """Return the number of the cell that trained last, and its log.

    One without scores that came to its end, as of a language model, counts only where no other is there.
    """
    scored = [
        (cell, log)
        for cell, log in trainings
        if log.error or log.done != log.steps or any(kind in entry for entry in log.entries for kind in SCORED)
    ]
    if not trainings:
        return None, Log()
    counted = all(cell.count for cell, _ in scored or trainings)
    cell, log = max(scored or trainings, key=lambda at: (at[0].count or 0 if counted else 0, at[0].number))
    return cell.number, log


def _training(cell: Cell, texts: Sequence[Output]) -> Log | None:
    """Return what the cell shows of a training; None where it shows none."""
    tables = [rows for output in texts if output.html for rows in _tables(output.text)]
    trained = [rows for rows in tables if "train_loss" in (kind_of(word) for row in rows[:2] for word in row)]
    printed = list(_logged(texts))
    shown = "\n".join(output.text for output in texts if not output.error)
    errors = [output.text.split(":")[0].rpartition(".")[2][:60] for output in texts if output.error]
    bars = pattern("bar").findall(shown)
    attempted = bool(errors) and re.search(r"\.(?:train|fit)\(", cell.source)
    if not (trained or bars or attempted or any("train_loss" in entry for entry in printed)):
        return None
    named = ("steps", "epochs", "done", "flos")
    last = {what: values[-1] for what in named if (values := pattern(f"printed {what}").findall(shown))}
    steps, epochs, done = (count(last.get(what)) for what in named[:3])
    at = None
    if bars:  # the notebook's bar, else tqdm's with the most steps
        at, steps, epochs = map(int, bars[-1])
    elif tqdm := pattern("tqdm").findall(shown):
        steps = steps or max(int(total) for _, total in tqdm)
        at = next((int(step) for step, total in reversed(tqdm) if int(total) == steps), None)
    means = [entry for entry in printed if "mean_loss" in entry]
    return Log(
        entries=table_entries(trained[-1]) + means if trained else last_training(printed),
        steps=steps, epochs=epochs, done=at if done is None else done, flos=number(last.get("flos")),
        error=errors[-1] if errors else "",
    )  # fmt: skip


def _bounded(cells: Sequence[Cell]) -> Iterator[tuple[Cell, list[Output]]]:
    """Yield each cell with those of its outputs that may tell of a training, until they are too much to be read."""
    left = MOST_TEXT
    for cell in cells:
        texts = [o for o in cell.outputs if o.error or any(sign in o.text for sign in load("words")["signs"])]
        left -= sum(len(output.text) + A_DICT * output.text.count("{") for output in texts)
        if left < 0:
            return
        yield cell, texts


def _tables(text: str) -> list[list[list[str]]]:
    """Return the tables of HTML as rows of text. html.parser takes minutes for half a megabyte of `<table`."""
    return [
        [
            [
                html.unescape(pattern("tag").sub("", cell[:2000].partition("</t")[0])).strip()
                for cell in pattern("cell").split(row, MOST_IN_A_ROW)[1:]
            ]
            for row in table.split("<tr")[1:]
        ]
        for table in text.lower().split("<table")[1:]
    ]


def _logged(texts: Sequence[Output]) -> Iterator[Entry]:
    """Yield the metrics that the Trainer or the student printed, as a dict or a line each."""
    shown = "\n".join(output.text for output in texts if not output.html and not output.error)
    for text in islice(pattern("dict").findall(shown), MOST_LOGS):
        if not any(word in text for word in ("loss", "eval_", "test_")):
            continue
        try:
            entry = ast.literal_eval(re.sub(r"(?<=: )(nan|-?inf)\b", r"'\1'", text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield log_entry(entry)
    if lines := dict(pattern("line").findall(shown)):
        yield log_entry(lines)


def _with_code(log: Log, cells: Sequence[Cell]) -> Log:
    """Return the log with what the code states; of several Trainers that of the one trained last."""
    code = Interpreter()
    sizes = list(accumulate(len(cell.source) for cell in reversed(cells)))
    for cell in cells[len(cells) - bisect(sizes, MOST_CODE) :]:
        code.run(pattern("script").sub("", cell.source))
    trainer = code.trained or _last(code.built, "Trainer") or Built(name="")
    if isinstance(words := trainer.keywords.get("hyperparameters"), dict):  # a SageMaker estimator's
        return replace(log, recipe=recipe_from(words))
    flags = "\n".join(line for line in cells[-1].magics if line.startswith("!")) if cells else ""
    given: dict[str, Any] = dict(pattern("flag").findall(flags)) or _arguments(code, trainer)
    recipe = {**_loaded(code, trainer), **_average(code, trainer), **recipe_from(given)}
    part = getattr(trainer.keywords.get("eval_dataset"), "part", None)
    split = part if part in ("train", "test") else None
    return replace(log, recipe=recipe, split=split, logging_steps=number(given.get("logging_steps")))


def _arguments(code: Interpreter, trainer: Built) -> dict[str, Any]:
    """Return the keywords of the TrainingArguments, with the defaults where none of them is hidden."""
    arguments = trainer.keywords.get("args", trainer.args[1] if len(trainer.args) > 1 else UNKNOWN)
    if not isinstance(arguments, Built):
        arguments = _last(code.built, "TrainingArguments")
    if arguments is None:
        return {}
    hidden = {"gradient_accumulation_steps": UNKNOWN}  # it would divide the batch
    given = {**(load("words")["defaults"] if arguments.complete else hidden), **arguments.keywords}
    if trainer.keywords.get("optimizers") not in (None, [None, None]):  # in place of what the arguments state
        given |= dict.fromkeys(("learning_rate", "weight_decay", "lr_scheduler_type"), UNKNOWN)
    return given if number(given.get("max_steps", -1)) == -1 else {**given, "num_train_epochs": UNKNOWN}


def _loaded(code: Interpreter, trainer: Built) -> Recipe:
    """Return the checkpoints of model and tokenizer and the corpus, and whether the encoder is frozen."""
    model = trainer.keywords.get("model", trainer.args[0] if trainer.args else UNKNOWN)
    if "model_init" in trainer.keywords:
        model = code.returned(trainer.keywords["model_init"])
    if not isinstance(model, Built):
        model = _last(code.built, "from_pretrained", "Model")
    tokenizer = trainer.keywords.get("processing_class", trainer.keywords.get("tokenizer", code.names.get("tokenizer")))
    corpus = _name_of(trainer.keywords.get("train_dataset")) or _name_of(_last(code.built, "load_dataset"))
    recipe: Recipe = {"corpus": corpus} if corpus and corpus.partition("/")[0] not in FILES else {}
    for part, built in (("checkpoint", model), ("tokenizer", tokenizer)):
        if name := _name_of(built, "from_pretrained") or OTHER_MODELS.get(getattr(built, "name", "")):
            recipe[part] = name
    frozen = isinstance(model, Built) and model.keywords.get("requires_grad") is False
    return {**recipe, "frozen": "yes"} if frozen else recipe


def _name_of(built: Any, call: str = "load_dataset") -> str:
    """Return the name by which a call loads a checkpoint, or a corpus and its configuration."""
    if not isinstance(built, Built) or built.name != call:
        return ""
    names = [built.keywords.get("pretrained_model_name_or_path"), *built.args[: 2 if call == "load_dataset" else 1]]
    return "/".join(name for name in names if isinstance(name, str))


def _average(code: Interpreter, trainer: Built) -> Recipe:
    """Return the last `average=` in the function that computes the metrics."""
    named = [each.get("compute_metrics") for each in (code.names, trainer.keywords)]
    words = [w for f in named if isinstance(f, ast.FunctionDef) for w in ast.walk(f) if isinstance(w, ast.keyword)]
    averages = [w.value.value for w in words if w.arg == "average" and isinstance(w.value, ast.Constant)]
    return {"average": averages[-1]} if averages and isinstance(averages[-1], str) else {}


def _last(built: Sequence[Built], name: str, owner: str = "") -> Built | None:
    return next((each for each in reversed(built) if each.name.endswith(name) and owner in each.owner), None)
