"""What the Trainer logs and tabulates: entries of one log, whatever drew them, and the figures by epoch in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import inf
from typing import Any

SCORED = ("valid_loss", "accuracy", "f1", "macro_f1")
Figures = dict[str, dict[int, float]]
Entry = dict[str, float]  # by kind, as `words.toml` names them, and epoch, step, learning_rate, mean_loss, total_flos
NEAR = 0.02  # of an epoch: 1.9968 is the second epoch's end where batches don't divide the corpus
MOST_EPOCHS = MOST_ROWS = 10_000
_NUMBER = re.compile(
    r"([+-]?\d{1,30}(?:[.,]\d{1,30})?(?:e[+-]?\d{1,4})?|nan|[+-]?inf)\s?(%?)", re.ASCII | re.IGNORECASE
)
_LOGGED = {"epoch": "epoch", "step": "step", "loss": "train_loss", "learning_rate": "learning_rate",
           "train_loss": "mean_loss", "total_flos": "total_flos"}  # fmt: skip
KINDS = {*_LOGGED.values(), *SCORED}
_SPEED = re.compile(r"runtime|per.second|preparation.time|compilation.time|samples|mem_")


@cache
def words(table: str) -> Mapping[str, str]:
    """Return what each word in a table of `words.toml` stands for."""
    data = tomllib.loads(files("repro.diagnosis").joinpath("words.toml").read_text(encoding="utf-8"))
    return {word: kind for kind, known in data[table].items() for word in known}


def kind_of(word: str, table: str = "columns") -> str | None:
    """Return the kind of figure or hyper-parameter that a word names, None where it is not known."""
    plain = " ".join(re.split(r"[\s_-]+", word.strip().lower()[:60]))
    return words(table).get(plain) or words(table).get(plain.removeprefix("eval "))


def number(value: Any) -> float | None:
    """Return a number, also from text: `0.9226`, `92,26 %`; infinity beyond floats; None for anything else."""
    if isinstance(value, dict) and len(value) == 1:  # the evaluate library's {"f1": 0.92}
        value = next(iter(value.values()))
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return inf
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value.strip()[:80])):
        amount = float(match[1].replace(",", "."))
        return amount / 100 if match[2] else amount
    return None


def count(value: Any) -> int | None:
    """Return a whole number, also from `16,000`; None for anything else."""
    text = re.sub(r"(?<=\d)[,.  _](?=\d{3}(?!\d))", "", value.strip()[:40]) if isinstance(value, str) else value
    whole = number(text)
    return int(whole) if whole is not None and abs(whole) < 1e12 and whole.is_integer() else None  # noqa: PLR2004


def log_entry(raw: Mapping[Any, Any]) -> Entry:
    """Return a logged dict's figures by kind; a metric that no fine-tuning of this seminar reports keeps its name."""
    entry: Entry = {}
    for name, value in raw.items():
        prefix, _, rest = str(name)[:80].replace("/", "_").partition("_")
        if prefix in ("eval", "test") and rest:
            kind = "valid_loss" if rest == "loss" else kind_of(rest) or ("" if _SPEED.search(rest) else rest)
        else:
            kind = _LOGGED.get(str(name), "")
        if kind and (amount := number(value)) is not None:
            entry[kind] = amount
    return entry


def other_metric(entries: Sequence[Entry]) -> dict[str, str | float]:
    """Return the metric of another task, where neither accuracy nor F1 is among those logged."""
    logged = {kind for entry in entries for kind in entry}
    others = sorted(logged - KINDS)
    return {"metric": others[0]} if others and not {"accuracy", "f1", "macro_f1"} & logged else {}


def table_entries(table: Sequence[Sequence[str]]) -> list[Entry]:
    """Return the rows of the Trainer's table under the last head that names a training loss or an epoch."""
    head: list[str] = []
    entries: list[Entry] = []
    for row in table[:MOST_ROWS]:
        kinds = [kind_of(cell) or ("" if _SPEED.search(cell.lower()) else cell.lower()[:40]) for cell in row]
        if "train_loss" in kinds and ("epoch" in kinds or "step" in kinds):
            head, entries = kinds, []
            continue
        cells = {kind: cell for kind, cell in zip(head, row, strict=False) if kind}
        step = count(cells.pop("step", None))
        entry = {kind: value for kind, cell in cells.items() if (value := number(cell)) is not None}
        entry |= {} if step is None else {"step": float(step)}
        if {"epoch", "step"} & entry.keys():
            entries.append(entry)
    return entries


def last_training(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of the last training among them: where the epoch starts again, so did the training."""
    start = 0
    latest = 0.0
    for i, entry in enumerate(entries):
        if "train_loss" in entry and "epoch" in entry:
            if entry["epoch"] < latest - NEAR:
                start = i
            latest = entry["epoch"]
    return list(entries[start:])


def with_epochs(entries: Sequence[Entry], steps: int | None, epochs: int | None) -> list[Entry]:
    """Return the entries with the epoch that their step stands for, where they name only the step."""
    if not steps or not epochs:
        return list(entries)
    return [{"epoch": e["step"] / steps * epochs, **e} if "step" in e else e for e in entries]


def figures_of(entries: Sequence[Entry]) -> Figures:
    """Return scores by epoch, and training losses averaged over an epoch's steps.

    A loss is the mean over the steps since the one before it; one over more than an epoch belongs to none.
    """
    figures: Figures = {}
    losses: dict[int, list[tuple[float, float]]] = {}
    before = 0.0
    for entry in entries:
        epoch = entry.get("epoch", 0.0)
        if not 0 < epoch < MOST_EPOCHS:
            continue
        nearest = round(epoch)
        if nearest and abs(epoch - nearest) < NEAR:
            for kind in SCORED:
                if kind in entry:
                    figures.setdefault(kind, {})[nearest] = entry[kind]
        if "train_loss" in entry and epoch > before:
            whole = -int(-(epoch - NEAR) // 1)
            if before >= whole - 1 - NEAR:
                losses.setdefault(whole, []).append((epoch - before, entry["train_loss"]))
            before = epoch
    for epoch, parts in losses.items():
        share = sum(part for part, _ in parts)
        if share > 1 - NEAR:
            figures.setdefault("train_loss", {})[epoch] = sum(part * loss for part, loss in parts) / share
    return figures


def total_steps(entries: Sequence[Entry]) -> int | None:
    """Return the step of the last entry at an epoch's end, None where no entry tells both."""
    ends = [e for e in entries if "step" in e and abs(e.get("epoch", 0.5) - round(e.get("epoch", 0.5))) < NEAR]
    return int(ends[-1]["step"]) if ends else None


def schedule_of(entries: Sequence[Entry], steps: int | None) -> dict[str, str | float]:
    """Return the schedule, and where it is linear its first rate, that the logged learning rates tell.

    Linear decay to 0 has rate / (1 - step / steps) constant; versions differ by a step in what they log.
    """
    points = [
        (e["step"] / steps, e["learning_rate"]) for e in entries if steps and {"step", "learning_rate"} <= e.keys()
    ]
    inner = [(done, rate) for done, rate in points if done < 0.99]  # noqa: PLR2004
    if not steps or not inner:
        return {}
    rates = [rate for _, rate in points]
    if len(points) > 1 and max(rates) - min(rates) < 0.01 * max(rates):
        return {"schedule": "constant", "learning_rate": rates[0]}
    if any(later > earlier * 1.01 for earlier, later in pairwise(rates)):
        return {"schedule": "with warm-up"}
    for late in (0, 1):
        first = [rate / (1 - done + late / steps) for done, rate in inner]
        rounded = float(f"{first[0]:.2g}")
        if max(abs(rate - rounded) for rate in first) < 0.005 * rounded:
            return {"schedule": "linear", "learning_rate": rounded}
    return {"schedule": "not linear to 0"}
