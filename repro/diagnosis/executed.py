"""An executed notebook as figures: the last training that its outputs show, and what the code before it states."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from repro.diagnosis.recipe import recipe_of
from repro.diagnosis.student_run import StudentRun
from repro.diagnosis.trainer_logs import (
    SCORED,
    Entry,
    count,
    figures_of,
    kind_of,
    last_training,
    log_entry,
    number,
    other_metric,
    schedule_of,
    table_entries,
    total_steps,
    with_epochs,
)
from repro.errors import UsageError
from repro.notebooks.reading import Cell, Output

MOST_TEXT = 3_000_000  # characters of all outputs that may hold logs
MOST_LOGS = 20_000
# html.parser takes minutes for what these find in linear time: each piece is bounded, or ends at the next `<`
_TAG = re.compile(r"<(/?)(table|tr|td|th)\b[^<>]{0,500}>|<[^<>]{0,500}>|([^<]+)", re.IGNORECASE)
_BAR = re.compile(r"\[\s{0,9}(\d{1,9})/(\d{1,9}) [^\]\[]{0,80}Epoch (\d[\d.]{0,9})/(\d{1,6})\]")
_TQDM = re.compile(r"(?<!\d)(\d{1,9})/(\d{1,9}) \[[^\]\[]{0,60}(?:it/s|s/it)")
_DICT = re.compile(r"\{[^{}]{1,3000}\}")
_LINE = re.compile(r"^[ \t]{0,9}((?:eval|test)_\w{1,40})[ \t]{0,40}[=:][ \t]{0,9}(\d\S{0,40})", re.MULTILINE)
_PRINTED = {
    "steps": re.compile(r"Total optimization steps = ([\d,]{1,15})"),
    "epochs": re.compile(r"Num Epochs = ([\d,]{1,9})"),
    "done": re.compile(r"TrainOutput\(global_step=(\d{1,12})"),
    "mean_loss": re.compile(r"training_loss=([\d.e-]{1,30})"),
    "flos": re.compile(r"'total_flos': '?([\d.e+]{1,30})"),
}
_SIGNS = ("oss", "Epoch", "eval_", "test_", "<table", "it/s", "s/it")  # one is in every output that tells of a training


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a cell shows of a training: its log, steps done and in all, epochs, and the error that ended it."""

    cell: Cell
    entries: Sequence[Entry]
    done: int | None
    steps: int | None
    epochs: int | None
    flos: float | None
    error: str

    @property
    def stopped(self) -> str:
        """Where it ended that did not reach its end."""
        at = f"at step {self.done:,} of {self.steps:,}" if self.done is not None and self.steps else ""
        if self.done is not None and self.steps and self.done < self.steps:
            return f"{at}{f' by {self.error}' if self.error else ''}"
        return f"by {self.error}" if self.error and not at else ""


def run_from_notebook(name: str, cells: Sequence[Cell]) -> StudentRun:
    """Return the run that the notebook's outputs show; UsageError where it holds none."""
    if not any(cell.outputs for cell in cells):
        raise UsageError(f"{name} holds no outputs", "Run all of its cells, save it, and name it again.")
    trainings = [training for cell, texts in _bounded(cells) if (training := _training(cell, texts))]
    # one without scores, such as of a language model, is no fine-tuning of this seminar where another has them
    trainings = [t for t in trainings if t.stopped or any(k in e for e in t.entries for k in SCORED)] or trainings
    training = trainings[-1] if trainings else None
    if all(each.cell.count for each in trainings):  # the order in which the cells were run
        training = max(trainings, key=lambda each: each.cell.count or 0, default=None)
    before = cells if training is None else cells[: training.cell.number]
    stated = recipe_of(before)
    epochs = (training and training.epochs) or stated.epochs
    figures, remarks = _figures(training, epochs, stated.logging_steps)
    split = stated.split
    if not any(figures.get(kind) for kind in SCORED) and not (training and training.stopped):
        after = cells if training is None else cells[training.cell.number - 1 :]
        for cell, texts in _bounded(after):
            split = "test" if re.search(r"\[\s{0,9}[\"']test[\"']\s{0,9}\]", cell.source) else split
            for entry in _logged(texts):
                for kind in SCORED:
                    if kind in entry:
                        figures.setdefault(kind, {})[epochs or 2] = entry[kind]
    if not figures and not (training and training.stopped):
        raise UsageError(
            f"{name} shows no figures of a training", "Expected the Trainer's table or printed metrics in its outputs."
        )
    logged = schedule_of(training.entries, training.steps) | other_metric(training.entries) if training else {}
    return StudentRun(
        source=name,
        figures=figures,
        epochs=epochs,
        steps=training.steps if training else None,
        flos=training.flos if training else None,
        split=split,
        stopped=training.stopped if training else "",
        recipe={**stated.parts, **logged},
        remarks=remarks,
    )


def _figures(
    training: Training | None, epochs: int | None, logging_steps: float | None
) -> tuple[dict[str, dict[int, float]], tuple[str, ...]]:
    """Return the training's figures by epoch, without training losses that are no means over an epoch."""
    if training is None:
        return {}, ()
    entries = with_epochs(training.entries, training.steps, epochs)
    figures = figures_of(entries)
    losses = figures.get("train_loss", {})
    logged = sum("train_loss" in entry for entry in entries)
    means = [entry["mean_loss"] for entry in entries if "mean_loss" in entry]
    a_row = training.steps / logged if training.steps and logged else None
    rates = any("learning_rate" in entry for entry in entries)  # a log, of which no entry is left out
    often = bool(logging_steps and a_row and logging_steps < 0.95 * a_row) and not rates
    off = bool(means and len(losses) == epochs and abs(sum(losses.values()) / len(losses) - means[-1]) > 0.02)  # noqa: PLR2004
    if losses and (often or off):
        del figures["train_loss"]
        return figures, ("its training losses are means over the last steps before each row, not over an epoch",)
    if logged and epochs and len(losses) < epochs and not training.stopped:
        return figures, ("its last training loss is a mean over more than one epoch, as the first has no log",)
    return figures, ()


def _training(cell: Cell, texts: Sequence[Output]) -> Training | None:
    """Return what the cell shows of a training, None where it shows none."""
    tables = [rows for output in texts if output.html for rows in _tables(output.text)]
    trained = [rows for rows in tables if "train_loss" in (kind_of(word) for row in rows[:2] for word in row)]
    logs = list(_logged(texts))
    shown = "\n".join(output.text for output in texts if not output.error)
    bars = _BAR.findall(shown)
    errors = [output.text for output in texts if output.error]
    attempted = bool(errors) and re.search(r"\.(?:train|fit)\(", cell.source)
    if not (trained or bars or attempted or any("train_loss" in entry for entry in logs)):
        return None
    printed = {what: values[-1] for what, pattern in _PRINTED.items() if (values := pattern.findall(shown))}
    entries = table_entries(trained[-1]) if trained else last_training(logs)
    entries += [entry for entry in logs if "mean_loss" in entry or "total_flos" in entry] if trained else []
    if "mean_loss" in printed and (mean := number(printed["mean_loss"])) is not None:
        entries.append({"mean_loss": mean})
    done, steps, epochs = _progress(bars, _TQDM.findall(shown), printed)
    error = errors[-1].split(":")[0].rpartition(".")[2][:60] if errors else ""
    return Training(
        cell=cell,
        entries=entries,
        done=done,
        steps=steps or total_steps(entries),
        epochs=epochs,
        flos=number(printed.get("flos")),
        error=error,
    )


def _progress(
    bars: Sequence[tuple[str, ...]], tqdm: Sequence[tuple[str, ...]], printed: dict[str, str]
) -> tuple[int | None, int | None, int | None]:
    """Return steps done, steps in all, and epochs, of the notebook's bar, else of tqdm's with the most steps."""
    steps, epochs = count(printed.get("steps")), count(printed.get("epochs"))
    done = None
    if bars:
        done, steps, epochs = int(bars[-1][0]), int(bars[-1][1]), int(bars[-1][3])
    elif tqdm:
        steps = steps or max(int(total) for _, total in tqdm)
        done = next((int(at) for at, total in reversed(tqdm) if int(total) == steps), None)
    return (int(printed["done"]) if "done" in printed else done), steps, epochs


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
    tables: list[list[list[str]]] = []
    in_cell = False
    for match in _TAG.finditer(text):
        closing, tag, words = match[1], (match[2] or "").lower(), match[3]
        if words and in_cell:
            tables[-1][-1][-1] += words[:200]
        elif tag == "table" and not closing:
            tables.append([])
        elif tag == "tr" and not closing and tables:
            tables[-1].append([])
        elif tag in ("td", "th"):
            in_cell = not closing and bool(tables and tables[-1])
            if in_cell:
                tables[-1][-1].append("")
    return [[[html.unescape(cell[:400]).strip() for cell in row] for row in table] for table in tables]


def _logged(texts: Sequence[Output]) -> Iterator[Entry]:
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
            yield log_entry(entry)
    if lines := dict(_LINE.findall(shown)):
        yield log_entry(lines)
