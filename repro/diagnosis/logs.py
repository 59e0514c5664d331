"""What the Trainer logs and tabulates: entries of one log, whatever drew them, and the run that they tell of.

A model card and a trainer_state.json hold such a log and little else: they are read here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from statistics import fmean
from typing import Any

from repro.diagnosis.student_run import EPOCHS, PERCENT, SHARES, Figures, StudentRun
from repro.diagnosis.words import count, kind_of, load, number, pattern, refused

SCORED = ("valid_loss", "accuracy", "f1", "macro_f1")
Recipe = dict[str, str | float]
Entry = dict[str, float]  # by kind, as `words.toml` names them, and epoch, step, learning_rate, mean_loss
NEAR = 0.02  # of an epoch: 1.9968 is the second epoch's end where batches don't divide the corpus
MOST_EPOCHS = MOST_ROWS = 10_000
MOST_LOGS = 50_000  # entries; the Trainer writes one in 500 steps
MOST_TEXT = 500_000  # characters; a card has a few thousand
ROUNDING = 1e-3  # of a figure at a card's head
STEPWISE = "its training losses are means over the last steps before each row, not over an epoch"


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
        cells = zip(head, row, strict=False)
        read = {kind: count(cell) if kind == "step" else number(cell) for kind, cell in cells if kind}
        entry = {kind: float(value) for kind, value in read.items() if value is not None}
        if {"epoch", "step"} & entry.keys():
            entries.append(entry)
    return entries


def _metric(word: str) -> str:
    return kind_of(word) or ("" if pattern("speed").search(word.lower()) else word.strip().lower()[:40])


def last_training(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of the last training among them: where the epoch starts again, so did the training."""
    losses = [(e["epoch"], i) for i, e in enumerate(entries) if {"train_loss", "epoch"} <= e.keys()]
    starts = [i for (before, _), (epoch, i) in pairwise(losses) if epoch < before - NEAR]
    return list(entries[starts[-1] if starts else 0 :])


@dataclass(frozen=True, kw_only=True)
class Log:
    """What a file tells of a training: its entries, and what stands beside them.

    It was `done` so far of its steps, or until an `error`; scores from `later` count where the entries have none.
    """

    entries: Sequence[Entry] = ()
    later: Entry = field(default_factory=dict)
    recipe: Recipe = field(default_factory=dict)
    epochs: int | None = None
    steps: int | None = None
    done: int | None = None
    error: str = ""
    logging_steps: float | None = None
    flos: float | None = None
    split: str | None = None

    def to_run(self, source: str) -> StudentRun:
        """Return the run that the log tells of. A row without an epoch is placed by its step."""
        epochs = self.epochs or (int(self.recipe["epochs"]) if "epochs" in self.recipe else None)
        ends = [entry["step"] for entry in self.entries if "step" in entry and _is_whole(entry.get("epoch", 0))]
        steps = self.steps or (count(ends[-1]) if ends else None)
        entries = self.entries
        if steps and epochs:
            entries = [{"epoch": e["step"] / steps * epochs, **e} if "step" in e else e for e in entries]
        log = replace(self, entries=entries, epochs=epochs, steps=steps)
        figures = _figures(entries)
        absent = set(SCORED) - {kind for kind, _ in figures}
        figures |= {(kind, epochs or EPOCHS): value for kind, value in self.later.items() if kind in absent}
        stopped = f"by {self.error}" if self.error else ""
        if self.done is not None and steps:
            stopped = f"at step {self.done:,} of {steps:,} {stopped}".rstrip() if self.done < steps else ""
        remarks = () if stopped else tuple(log.remarks(figures))
        if STEPWISE in remarks:
            figures = {at: value for at, value in figures.items() if at[0] != "train_loss"}
        shares = [value for (kind, _), value in figures.items() if kind in SHARES]
        if shares and 1.5 < min(shares) <= max(shares) <= PERCENT:  # noqa: PLR2004
            figures |= {at: value / PERCENT for at, value in figures.items() if at[0] in SHARES}
            remarks = (*remarks, "its scores are percentages, read as shares of 1")
        recipe = self.recipe | log.schedule() | _other_metric([*entries, self.later])
        return StudentRun(source, figures, epochs, steps, self.flos, self.split, stopped, recipe, remarks)

    def remarks(self, figures: Figures) -> Iterator[str]:
        """Yield what is to be known of the figures."""
        losses = [value for (kind, _), value in figures.items() if kind == "train_loss"]
        logged = sum("train_loss" in entry for entry in self.entries)
        means = [entry["mean_loss"] for entry in self.entries if "mean_loss" in entry]
        often = (self.logging_steps or inf) < 0.95 * (self.steps or 0) / max(logged, 1)
        off = bool(means and len(losses) == self.epochs) and abs(fmean(losses) - means[-1]) > 0.02  # noqa: PLR2004
        # where learning rates are logged, it is a log, of which no entry is left out
        if losses and (often or off) and not any("learning_rate" in entry for entry in self.entries):
            yield STEPWISE
        elif logged and len(losses) < (self.epochs or 0):
            yield "a training loss that is no mean over a single epoch is left out"
        scored = [epoch for kind, epoch in figures if kind in SCORED]
        if scored and max(scored) < (self.epochs or 0):
            yield f"no evaluation after epoch {max(scored)} is in it"

    def schedule(self) -> Recipe:
        """Return the schedule, and where it is linear its first rate, that the logged learning rates tell.

        Linear decay to 0 has rate / (1 - step / steps) constant; versions differ by a step in what they log.
        """
        logged = [(e["step"], e["learning_rate"]) for e in self.entries if {"step", "learning_rate"} <= e.keys()]
        steps = max(self.steps or 0, 0)  # a file may state fewer than none
        inner = [(step / steps, rate) for step, rate in logged if steps and step < 0.99 * steps]
        if not inner:
            return {}
        rates = [rate for _, rate in logged]
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


def _is_whole(epoch: float) -> bool:
    return 0.5 < epoch < MOST_EPOCHS and abs(epoch - round(epoch)) < NEAR  # noqa: PLR2004 (rounds to 1 or more)


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


def run_from_card(name: str, text: str) -> StudentRun:
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


def run_from_state(name: str, data: Mapping[str, Any]) -> StudentRun:
    """Read a trainer_state.json."""
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
