"""An executed notebook as figures: the last training that its outputs show, and the recipe that its code states.

Nothing is executed; the code before the training is evaluated on its syntax tree, as far as it is constant.
"""

from __future__ import annotations

import ast
import html
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

from repro.diagnosis import logs
from repro.diagnosis.student_run import StudentRun, load, refused
from repro.notebooks.reading import Cell, Output
from repro.notebooks.static import UNKNOWN, Built, Interpreter

MOST_TEXT = 3_000_000  # characters of all outputs that may hold logs
MOST_LOGS = 20_000
MOST_IN_A_ROW = 50  # cells
# html.parser takes minutes for half a megabyte of `<table`; these are linear: bounded, or at an end with the next `<`
_CELL = re.compile(r"<t[dh]\b[^<>]{0,500}>")
_TAG = re.compile(r"<[^<>]{0,500}>")
_BAR = re.compile(r"\[\s{0,9}(\d{1,9})/(\d{1,9}) [^\]\[]{0,80}Epoch \d[\d.]{0,9}/(\d{1,6})\]")
_TQDM = re.compile(r"(?<!\d)(\d{1,9})/(\d{1,9}) \[[^\]\[]{0,60}(?:it/s|s/it)")
_DICT = re.compile(r"\{[^{}]{1,3000}\}")
_LINE = re.compile(r"^[ \t]{0,9}((?:eval|test)_\w{1,40})[ \t]{0,40}[=:][ \t]{0,9}(\d\S{0,40})", re.MULTILINE)
_PRINTED = {
    "steps": re.compile(r"Total optimization steps = ([\d,]{1,15})"),
    "epochs": re.compile(r"Num Epochs = ([\d,]{1,9})"),
    "done": re.compile(r"TrainOutput\(global_step=(\d{1,12})"),
    "flos": re.compile(r"'total_flos': '?([\d.e+]{1,30})"),
}
_SIGNS = ("oss", "Epoch", "eval_", "test_", "<table", "it/s", "s/it")  # one is in every output that tells of a training
MOST_CODE = 200_000  # characters of code before the training that are read, the last ones
OTHER_MODELS = {"from_config": "one without pretrained weights", "get_peft_model": "an adapter"}
FILES = ("csv", "json", "text", "parquet", "pandas", "arrow")  # load_dataset's names for files of one's own
_SCRIPT = re.compile(r"\A\s*%%writefile\s[^\n]{1,200}\.py[ \t]*\n")  # its code is read as a cell's
_FLAG = re.compile(r"--(\w{1,40})[ =]([^\s-]\S{0,200})")


def run_from_notebook(name: str, cells: Sequence[Cell]) -> StudentRun:
    """Return the run that the notebook's outputs show; UsageError where it holds none."""
    if not any(cell.outputs for cell in cells):
        raise refused("no outputs", source=name)
    at, shown = _last_training([(cell, log) for cell, texts in _bounded(cells) if (log := _training(cell, texts))])
    parts = _stated(cells[:at]) | {part: value for part, value in shown.items() if value is not None}
    run = logs.run_from_log(name, **parts)
    if not run.stopped and not any(kind in logs.SCORED for kind, _ in run.figures):
        after = cells[(at or 1) - 1 :]
        parts["later"] = {kind: v for _, texts in _bounded(after) for log in _logged(texts) for kind, v in log.items()}
        if any(re.search(r"\[[\"']test[\"']\]", cell.source) for cell in after):
            parts["split"] = "test"
        run = logs.run_from_log(name, **parts)
    if not run.figures and not run.stopped:
        raise refused("no training", source=name)
    return run


def _last_training(trainings: list[tuple[Cell, dict[str, Any]]]) -> tuple[int | None, dict[str, Any]]:
    """Return the number of the cell that trained last, and its log.

    One without scores that came to its end, as of a language model, counts only where no other is there.
    """
    trainings = [
        (cell, log)
        for cell, log in trainings
        if log["error"] or log["done"] != log["steps"] or any(kind in e for e in log["entries"] for kind in logs.SCORED)
    ] or trainings
    if not trainings:
        return None, {"entries": []}
    counted = all(cell.count for cell, _ in trainings)
    cell, log = max(trainings, key=lambda at: (at[0].count or 0 if counted else 0, at[0].number))
    return cell.number, log


def _training(cell: Cell, texts: Sequence[Output]) -> dict[str, Any] | None:
    """Return what the cell shows of a training, as `run_from_log` takes it; None where it shows none."""
    tables = [rows for output in texts if output.html for rows in _tables(output.text)]
    trained = [rows for rows in tables if "train_loss" in (logs.kind_of(word) for row in rows[:2] for word in row)]
    printed = list(_logged(texts))
    shown = "\n".join(output.text for output in texts if not output.error)
    errors = [output.text.split(":")[0].rpartition(".")[2][:60] for output in texts if output.error]
    bars = _BAR.findall(shown)
    attempted = bool(errors) and re.search(r"\.(?:train|fit)\(", cell.source)
    if not (trained or bars or attempted or any("train_loss" in entry for entry in printed)):
        return None
    last = {what: values[-1] for what, pattern in _PRINTED.items() if (values := pattern.findall(shown))}
    steps, epochs, done = (logs.count(last.get(what)) for what in ("steps", "epochs", "done"))
    at = None
    if bars:  # the notebook's bar, else tqdm's with the most steps
        at, steps, epochs = map(int, bars[-1])
    elif tqdm := _TQDM.findall(shown):
        steps = steps or max(int(total) for _, total in tqdm)
        at = next((int(step) for step, total in reversed(tqdm) if int(total) == steps), None)
    means = [entry for entry in printed if "mean_loss" in entry]
    return {
        "entries": logs.table_entries(trained[-1]) + means if trained else logs.last_training(printed),
        "done": at if done is None else done,
        "steps": steps,
        "epochs": epochs,
        "flos": logs.number(last.get("flos")),
        "error": errors[-1] if errors else "",
    }


def _bounded(cells: Sequence[Cell]) -> Iterator[tuple[Cell, list[Output]]]:
    """Yield each cell with those of its outputs that may tell of a training, until they are too much to be read."""
    left = MOST_TEXT
    for cell in cells:
        texts = [o for o in cell.outputs if o.error or any(sign in o.text for sign in _SIGNS)]
        left -= sum(len(output.text) for output in texts)
        if left < 0:
            return
        yield cell, texts


def _tables(text: str) -> list[list[list[str]]]:
    """Return the tables of HTML as rows of text."""
    return [
        [
            [
                html.unescape(_TAG.sub("", cell[:2000].partition("</t")[0])).strip()
                for cell in _CELL.split(row, MOST_IN_A_ROW)[1:]
            ]
            for row in table.split("<tr")[1:]
        ]
        for table in text.lower().split("<table")[1:]
    ]


def _logged(texts: Sequence[Output]) -> Iterator[logs.Entry]:
    """Yield the metrics that the Trainer or the student printed, as a dict or a line each."""
    shown = "\n".join(output.text for output in texts if not output.html and not output.error)
    for text in islice(_DICT.findall(shown), MOST_LOGS):
        if not any(word in text for word in ("loss", "eval_", "test_")):
            continue
        try:
            entry = ast.literal_eval(re.sub(r"(?<=: )(nan|-?inf)\b", r"'\1'", text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield logs.log_entry(entry)
    if lines := dict(_LINE.findall(shown)):
        yield logs.log_entry(lines)


def _stated(cells: Sequence[Cell]) -> dict[str, Any]:
    """Return what the code states, as `run_from_log` takes it; of several Trainers that of the one trained last."""
    code = Interpreter()
    sizes = list(accumulate(len(cell.source) for cell in reversed(cells)))
    for cell in cells[len(cells) - bisect(sizes, MOST_CODE) :]:
        code.run(_SCRIPT.sub("", cell.source))
    trainer = code.trained or _last(code.built, "Trainer") or Built(name="")
    if isinstance(words := trainer.keywords.get("hyperparameters"), dict):  # a SageMaker estimator's
        return {"recipe": logs.recipe_from(words)}
    flags = "\n".join(line for line in cells[-1].magics if line.startswith("!")) if cells else ""
    given: dict[str, Any] = dict(_FLAG.findall(flags)) or _arguments(code, trainer)
    evaluated = trainer.keywords.get("eval_dataset")
    return {
        "recipe": {**_loaded(code, trainer), **_average(code, trainer), **logs.recipe_from(given)},
        "split": evaluated.part if isinstance(evaluated, Built) and evaluated.part in ("train", "test") else None,
        "logging_steps": logs.number(given.get("logging_steps")),
    }


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
    return given if logs.number(given.get("max_steps", -1)) == -1 else {**given, "num_train_epochs": UNKNOWN}


def _loaded(code: Interpreter, trainer: Built) -> logs.Recipe:
    """Return the checkpoints of model and tokenizer and the corpus, and whether the encoder is frozen."""
    model = trainer.keywords.get("model", trainer.args[0] if trainer.args else UNKNOWN)
    if "model_init" in trainer.keywords:
        model = code.returned(trainer.keywords["model_init"])
    if not isinstance(model, Built):
        model = _last(code.built, "from_pretrained", "Model")
    tokenizer = trainer.keywords.get("processing_class", trainer.keywords.get("tokenizer", code.names.get("tokenizer")))
    corpus = _name_of(trainer.keywords.get("train_dataset")) or _name_of(_last(code.built, "load_dataset"))
    recipe: logs.Recipe = {"corpus": corpus} if corpus and corpus.partition("/")[0] not in FILES else {}
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


def _average(code: Interpreter, trainer: Built) -> logs.Recipe:
    """Return the last `average=` in the function that computes the metrics."""
    named = [each.get("compute_metrics") for each in (code.names, trainer.keywords)]
    words = [w for f in named if isinstance(f, ast.FunctionDef) for w in ast.walk(f) if isinstance(w, ast.keyword)]
    averages = [w.value.value for w in words if w.arg == "average" and isinstance(w.value, ast.Constant)]
    return {"average": averages[-1]} if averages and isinstance(averages[-1], str) else {}


def _last(built: Sequence[Built], name: str, owner: str = "") -> Built | None:
    return next((each for each in reversed(built) if each.name.endswith(name) and owner in each.owner), None)
