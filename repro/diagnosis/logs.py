"""What the Trainer logs and tabulates: entries of one log, whatever drew them, and the run that they tell of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import inf
from statistics import fmean
from typing import Any

from repro.diagnosis.student_run import EPOCHS, PERCENT, SHARES, Figures, StudentRun, load

SCORED = ("valid_loss", "accuracy", "f1", "macro_f1")
Recipe = dict[str, str | float]
Entry = dict[str, float]  # by kind, as `words.toml` names them, and epoch, step, learning_rate, mean_loss
NEAR = 0.02  # of an epoch: 1.9968 is the second epoch's end where batches don't divide the corpus
MOST_EPOCHS = MOST_ROWS = 10_000
_NUMBER = re.compile(
    r"([+-]?\d{1,30}(?:[.,]\d{1,30})?(?:e[+-]?\d{1,4})?|nan|[+-]?inf)\s?(%?)", re.ASCII | re.IGNORECASE
)
STEPWISE = "its training losses are means over the last steps before each row, not over an epoch"
_SPEED = re.compile(r"runtime|per.second|preparation.time|compilation.time|samples|mem_")


def kind_of(word: str, table: str = "columns") -> str | None:
    """Return the kind of figure or hyper-parameter that a word names, None where it is not known."""
    plain = " ".join(re.split(r"[\s_-]+", word.strip().lower()[:60]))
    return _kinds(table).get(plain) or _kinds(table).get(plain.removeprefix("eval "))


@cache
def _kinds(table: str) -> dict[str, str]:
    return {word: kind for kind, known in load("words")[table].items() for word in known}


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


def recipe_from(settings: Mapping[str, Any]) -> Recipe:
    """Return what hyper-parameters state of the recipe, whatever a card, a script or the Trainer calls them."""
    stated = {kind: value for word, value in settings.items() if (kind := kind_of(word, "hyperparameters"))}
    amounts = {kind: number(value) for kind, value in stated.items()}
    recipe: dict[str, Any] = {kind: amounts.get(kind) for kind in ("learning_rate", "weight_decay", "label_smoothing")}
    batch, parts, epochs = amounts.get("batch_size"), amounts.get("accumulation", 1), amounts.get("epochs")
    recipe["batch_size"] = amounts.get("total_batch_size") or (batch * parts if batch and parts else None)
    recipe["epochs"] = max(round(epochs), 1) if epochs and epochs < 1e6 else None  # noqa: PLR2004
    recipe["checkpoint"] = text if isinstance(text := stated.get("checkpoint"), str) else None
    if isinstance(schedule := stated.get("schedule"), str):
        warm = any(amounts.get(kind) for kind in ("warmup_steps", "warmup_ratio"))
        recipe["schedule"] = schedule.rpartition(".")[2].lower() + (" with warm-up" if warm else "")
    return {kind: value for kind, value in recipe.items() if value is not None}


def log_entry(raw: Mapping[Any, Any]) -> Entry:
    """Return a logged dict's figures by kind; a metric that no fine-tuning of this seminar reports keeps its name."""
    entry: Entry = {}
    for name, value in raw.items():
        prefix, _, rest = str(name)[:80].replace("/", "_").partition("_")
        scored = prefix in ("eval", "test") and rest
        kind = _metric("eval_loss" if rest == "loss" else rest) if scored else kind_of(str(name), "log")
        if kind and (amount := number(value)) is not None:
            entry[kind] = amount
    return entry


def table_entries(table: Sequence[Sequence[str]]) -> list[Entry]:
    """Return the rows of the Trainer's table under the last head that names a training loss and an epoch or step."""
    head: list[str] = []
    entries: list[Entry] = []
    for row in table[:MOST_ROWS]:
        kinds = [_metric(cell) for cell in row]
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


def _metric(word: str) -> str:
    return kind_of(word) or ("" if _SPEED.search(word.lower()) else word.strip().lower()[:40])


def last_training(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of the last training among them: where the epoch starts again, so did the training."""
    losses = [(e["epoch"], i) for i, e in enumerate(entries) if {"train_loss", "epoch"} <= e.keys()]
    starts = [i for (before, _), (epoch, i) in pairwise(losses) if epoch < before - NEAR]
    return list(entries[starts[-1] if starts else 0 :])


def run_from_log(
    source: str,
    entries: Sequence[Entry],
    recipe: Recipe,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    done: int | None = None,
    error: str = "",
    later: Entry | None = None,
    logging_steps: float | None = None,
    **stated: Any,
) -> StudentRun:
    """Return the run that a log tells of: `done` of its steps, or until an error.

    Scores from `later` count where the log has none of an epoch's end. A row without an epoch is placed by its step.
    """
    epochs = epochs or (int(recipe["epochs"]) if "epochs" in recipe else None)
    ends = [e["step"] for e in entries if "step" in e and _is_whole(e.get("epoch", 0))]
    steps = steps or (count(ends[-1]) if ends else None)
    if steps and epochs:
        entries = [{"epoch": e["step"] / steps * epochs, **e} if "step" in e else e for e in entries]
    figures = _figures(entries)
    absent = set(SCORED) - {kind for kind, _ in figures}
    figures |= {(kind, epochs or EPOCHS): value for kind, value in (later or {}).items() if kind in absent}
    stopped = f"by {error}" if error else ""
    if done is not None and steps:
        stopped = f"at step {done:,} of {steps:,}{stopped and f' {stopped}'}" if done < steps else ""
    remarks = () if stopped else tuple(_remarks(entries, figures, epochs, steps, logging_steps))
    if STEPWISE in remarks:
        figures = {at: value for at, value in figures.items() if at[0] != "train_loss"}
    shares = [value for (kind, _), value in figures.items() if kind in SHARES]
    if shares and 1.5 < min(shares) <= max(shares) <= PERCENT:  # noqa: PLR2004
        figures |= {at: value / PERCENT for at, value in figures.items() if at[0] in SHARES}
        remarks = (*remarks, "its scores are percentages, read as shares of 1")
    recipe = recipe | _schedule(entries, steps) | _other_metric([*entries, later or {}])
    return StudentRun(source, figures, epochs, steps, stopped=stopped, recipe=recipe, remarks=remarks, **stated)


def _is_whole(epoch: float) -> bool:
    return 0.5 < epoch < MOST_EPOCHS and abs(epoch - round(epoch)) < NEAR  # noqa: PLR2004 (rounds to 1 or more)


def _remarks(
    entries: Sequence[Entry], figures: Figures, epochs: int | None, steps: int | None, logging_steps: float | None
) -> Iterator[str]:
    losses = [value for (kind, _), value in figures.items() if kind == "train_loss"]
    logged = sum("train_loss" in entry for entry in entries)
    means = [entry["mean_loss"] for entry in entries if "mean_loss" in entry]
    often = (logging_steps or inf) < 0.95 * (steps or 0) / max(logged, 1)
    off = bool(means and len(losses) == epochs) and abs(fmean(losses) - means[-1]) > 0.02  # noqa: PLR2004
    # where learning rates are logged, it is a log, of which no entry is left out
    if losses and (often or off) and not any("learning_rate" in entry for entry in entries):
        yield STEPWISE
    elif logged and len(losses) < (epochs or 0):
        yield "a training loss that is no mean over a single epoch is left out"
    scored = [epoch for kind, epoch in figures if kind in SCORED]
    if scored and max(scored) < (epochs or 0):
        yield f"no evaluation after epoch {max(scored)} is in it"


def _figures(entries: Sequence[Entry]) -> Figures:
    """Return scores by epoch, and the mean training loss of an epoch; each logged one is over the steps before it."""
    figures: Figures = {}
    losses: dict[int, list[tuple[float, float]]] = defaultdict(list)
    before = 0.0
    for entry in entries:
        epoch = entry.get("epoch", 0.0)
        if not 0 < epoch < MOST_EPOCHS:
            continue
        if _is_whole(epoch):
            figures |= {(kind, round(epoch)): entry[kind] for kind in SCORED if kind in entry}
        if "train_loss" in entry and epoch > before:
            whole = -int(-(epoch - NEAR) // 1)
            if before >= whole - 1 - NEAR:
                losses[whole].append((epoch - before, entry["train_loss"]))
            before = epoch
    for epoch, parts in losses.items():
        share = sum(part for part, _ in parts)
        if share > 1 - NEAR:
            figures["train_loss", epoch] = sum(part * loss for part, loss in parts) / share
    return figures


def _other_metric(entries: Sequence[Entry]) -> Recipe:
    """Return the metric of another task, where neither accuracy nor F1 is among those logged."""
    logged = {kind for entry in entries for kind in entry}
    others = sorted(logged - {*load("words")["log"], *SCORED})
    return {"metric": others[0]} if others and not {"accuracy", "f1", "macro_f1"} & logged else {}


def _schedule(entries: Sequence[Entry], steps: int | None) -> Recipe:
    """Return the schedule, and where it is linear its first rate, that the logged learning rates tell.

    Linear decay to 0 has rate / (1 - step / steps) constant; versions differ by a step in what they log.
    """
    if not steps or steps < 0:
        return {}
    logged = [e for e in entries if {"step", "learning_rate"} <= e.keys()]
    rates = [e["learning_rate"] for e in logged]
    inner = [(e["step"] / steps, e["learning_rate"]) for e in logged if e["step"] / steps < 0.99]  # noqa: PLR2004
    if not inner:
        return {}
    if len(rates) > 1 and max(rates) - min(rates) < 0.01 * max(rates):
        return {"schedule": "constant", "learning_rate": rates[0]}
    if any(later > earlier * 1.01 for earlier, later in pairwise(rates)):
        return {"schedule": "with warm-up"}
    for late in (0, 1):
        first = [rate / (1 - done + late / steps) for done, rate in inner]
        rounded = float(f"{first[0]:.2g}")
        if max(abs(rate - rounded) for rate in first) < 0.005 * rounded:
            return {"schedule": "linear", "learning_rate": rounded}
    return {"schedule": "not linear to 0"}
