"""An executed notebook as figures: the Trainer's table, its progress bar, printed metrics; no cell is executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from repro.diagnosis.student_runs import StudentRun
from repro.diagnosis.trainer_logs import EVALUATED, from_logs, from_table
from repro.errors import UsageError


def from_notebook(name: str, data: Mapping[str, Any]) -> StudentRun:
    """Return the run that the notebook's outputs show; UsageError where it holds none."""
    code = [cell for cell in data["cells"] if cell.get("cell_type") == "code"]
    outputs = [(_joined(cell.get("source")), text) for cell in code for text in _outputs(cell)]
    if not outputs:
        raise UsageError(f"{name} holds no outputs", "Run all of its cells, save it, and name it again.")
    shown = "\n".join(text for _, text in outputs)
    tables = [found for found in re.findall(r"<table.*?</table>", shown, re.DOTALL) if "Training Loss" in found]
    figures, steps = from_table(_cells(tables[-1]) if tables else [])
    split = None
    logs = [(source, entry) for source, text in outputs for entry in _printed(text)]
    for kind, values in from_logs([entry for _, entry in logs]).items():
        figures.setdefault(kind, values)
    if not any(figures.get(kind) for kind in EVALUATED):
        for source, entry in logs:
            split = "test" if re.search(r"\[\s*[\"']test[\"']\s*\]", source) else split
            for kind, key in EVALUATED.items():
                value = entry.get(f"eval_{key}", entry.get(f"test_{key}"))
                if value is not None:
                    figures.setdefault(kind, {})[2] = float(value)
    if not figures:
        raise UsageError(
            f"{name} shows no figures of a training", "Expected the Trainer's table or printed metrics in its outputs."
        )
    done = re.findall(r"\[\s*(\d+)/(\d+) [^\]]*Epoch (\d+)/(\d+)\]", shown)
    flos = re.findall(r"'total_flos': ([\d.e+]+)", shown)
    return StudentRun(
        source=name,
        figures=figures,
        epochs=int(done[-1][3]) if done else None,
        steps=int(done[-1][1]) if done else steps,
        flos=float(flos[-1]) if flos else None,
        split=split,
        recipe=_assigned("\n".join(_joined(cell.get("source")) for cell in code)),
    )


def _cells(table: str) -> list[list[str]]:
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]


def _outputs(cell: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a cell shows as text: HTML where there is some, else plain text and what was printed."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown = data.get("text/html") or data.get("text/plain") or output.get("text")
        if shown:
            yield _joined(shown)


def _printed(text: str) -> Iterator[dict[str, Any]]:
    """Yield the metrics that the Trainer or the student printed as a dict, which nests none."""
    for found in re.findall(r"\{[^{}]*\}", text):
        try:
            entry = ast.literal_eval(found)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry


def _assigned(code: str) -> dict[str, str | float]:
    """Return the recipe as far as the cells state it in plain numbers and names; nothing is executed."""
    recipe: dict[str, str | float] = {}
    patterns = {  # a bare batch_size= is also an argument of map(), so that it counts as an assignment only
        "learning_rate": r"\blearning_rate\s*=\s*",
        "weight_decay": r"\bweight_decay\s*=\s*",
        "batch_size": r"(?:^|\bper_device_train_)batch_size\s*=\s*",
    }
    for key, pattern in patterns.items():
        if found := re.findall(pattern + r"(\d[\d.]*(?:e-?\d+)?)\b", code, re.MULTILINE):
            recipe[key] = float(found[-1])
    if found := re.findall(r"^model_(?:ckpt|checkpoint)\s*=\s*[\"']([^\"']+)[\"']", code, re.MULTILINE):
        recipe["checkpoint"] = found[-1]
    return recipe


def _joined(text: str | list[str] | None) -> str:
    return "".join(text) if isinstance(text, list) else text or ""
