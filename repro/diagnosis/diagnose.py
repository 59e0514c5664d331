"""Is a stranger's run normal? Its place among the 94 distinct reruns, and the known mistake that it resembles.

The run is read from a file that it left behind: trainer_state.json, model card, executed notebook.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Literal

from repro.claims.catalogue import reruns
from repro.claims.references import Joint
from repro.diagnosis.logs import run_from_card, run_from_state
from repro.diagnosis.notebook import run_from_notebook
from repro.diagnosis.student_run import EPOCHS, StudentRun, checked, name_of
from repro.diagnosis.words import load, refused
from repro.notebooks.reading import cells_of, parse_json, read_text
from repro.stats import t_tail

# 1 % for the most extreme figure, shared among those given, and 1 % for all of them together: judged against
# the other 93, 1 of the 94 reruns is flagged (a test runs all of them through, whole and figure by figure).
# A final score beyond all reruns and outside their 95 % interval is not called normal either.
ALPHA = 0.01
BEYOND = 0.05
FINAL_SCORES = ("f1_2", "accuracy_2")
Outcome = Literal["normal", "low", "suspiciously high", "odd together", "not comparable", "stopped", "the book's own"]
LEAST_OF_THE_BOOK = 3  # figures that must agree with the book's in every digit
EXPECTED = (
    "a trainer_state.json, a model card (README.md) or an executed notebook (.ipynb); "
    "figures are given as in --f1 0.9226"
)


@dataclass(frozen=True)
class Placed:
    """One figure's place among the reruns: percentile (0 to 100), and p of lying so far out as one further run."""

    name: str
    value: float
    percentile: float
    p_value: float
    reruns: int
    mean: float
    sd: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Resembled:
    """A mistake that the run resembles, and by what."""

    id: str
    text: str
    evidence: str
    remedy: str


@dataclass(frozen=True)
class Diagnosis:
    """What is to be said of a run, in one sentence and in full."""

    source: str
    outcome: Outcome
    sentence: str
    figures: tuple[Placed, ...]
    joint: Joint | None
    mistakes: tuple[Resembled, ...]
    notes: tuple[Resembled, ...]
    remarks: tuple[str, ...]


def run_from_file(path: Path) -> StudentRun:
    """Return the run that a file tells of; UsageError where it tells none."""
    text = read_text(path, f"Expected {EXPECTED}.")
    if path.suffix == ".md":
        return checked(run_from_card(path.name, text))
    data = parse_json(text, str(path))
    if isinstance(data, dict) and "cells" in data:
        return checked(run_from_notebook(path.name, cells_of(data, path.name)))
    if isinstance(data, dict) and "log_history" in data:
        return checked(run_from_state(path.name, data))
    raise refused("unknown format", source=path, expected=EXPECTED)


def diagnose_run(run: StudentRun, *, without: int | None = None) -> Diagnosis:
    """Place the run among the reruns and say what it is; `without` leaves one rerun out of the joint population."""
    facts = run.facts()
    given = {name: facts[name] for name in reruns().figures if name in facts}
    figures = tuple(_place(name, value) for name, value in given.items())
    joint = reruns().joint_distance(given, without=without)
    beyond = [p for p in figures if p.name in FINAL_SCORES and p.percentile in (0, 100) and p.p_value < BEYOND]
    odd = [p for p in figures if p.p_value * len(figures) < ALPHA] or beyond
    together = joint is not None and joint.p_value < ALPHA
    differs = _differences(run)
    about_run = _resembled(facts, "run")  # what was run explains how it came out
    mistakes = about_run or (_resembled(facts, "figures") if odd or together else ())
    outcomes: dict[Outcome, bool] = {
        "stopped": bool(run.stopped),
        "the book's own": _is_the_book(given),
        "not comparable": bool(differs or about_run),
        "suspiciously high": any((p.value > p.mean) != ("loss" in p.name) for p in odd if p is _telling(odd)),
        "low": bool(odd),
        "odd together": together,
        "normal": True,
    }
    outcome = next(name for name, holds in outcomes.items() if holds)
    words: dict[str, str | float] = {
        "stopped": run.stopped,
        "differs": differs and f": {differs}",
        "besides": differs and f" Besides, it is not the seminar's recipe: {differs}.",
        "share": 100 * max(joint.p_value, 0.0001) if joint else 0,
        "like": f" It looks like {mistakes[0].text}: {mistakes[0].evidence}." if mistakes else "",
    }
    form: str = outcome
    if figures:
        telling = _telling(odd or figures)
        words |= _words_of(telling)
        form = "edge" if outcome == "normal" and telling.percentile in (0, 100) else outcome
    elif outcome == "normal":
        form = "no figure"
    sentence = load("mistakes")["sentences"][form].format_map(words)
    return Diagnosis(run.source, outcome, sentence, figures, joint, mistakes, _resembled(facts, "note"), run.remarks)


def _place(name: str, value: float) -> Placed:
    figure = reruns().figure(name)
    t = abs(value - figure.mean) / (figure.sd * sqrt(1 + 1 / figure.n))
    p_value, interval = 2 * t_tail(t, figure.n - 1), figure.prediction_interval()
    return Placed(name, value, figure.percentile(value), p_value, figure.n, figure.mean, figure.sd, interval)


def _differences(run: StudentRun) -> str:
    """Return in words what the run states of its recipe that the reruns have otherwise."""
    stated = {**run.recipe, **({} if run.epochs is None and run.epochs_run == EPOCHS else {"epochs": run.epochs_run})}
    differences = []
    for name, expected in load("mistakes")["recipe"].items():
        value = stated.get(name, expected)
        alike = load("mistakes")["alike"].get(name, rf"(?:.*/)?{re.escape(str(expected))}/*")
        if value != expected and not re.fullmatch(alike, str(value)[:300], re.IGNORECASE | re.DOTALL):
            this, that = (v if isinstance(v, str) else f"{v:g}" for v in (value, expected))
            this = f"{this} epoch{'s' * (value != 1)}" if name == "epochs" else f"{name.replace('_', ' ')} {this}"
            differences.append(f"{this} instead of {that}")
    return ", ".join(differences)


def _is_the_book(given: dict[str, float]) -> bool:
    """Tell whether all figures are the book's own, in all the digits that are given."""
    book = load("mistakes")["book"]
    digits = {name: min(len(f"{value!r}".partition(".")[2]), 6) for name, value in given.items()}
    same = all(round(value, digits[name]) == round(book[name], digits[name]) for name, value in given.items())
    return same and len(given) >= LEAST_OF_THE_BOOK and any("loss" in name for name in given)


def _resembled(facts: Mapping[str, float], about: str) -> tuple[Resembled, ...]:
    """Return the mistakes of which a sign fits, each with its first one; a fact about the run is explained once."""
    resembled = []
    explained: set[str] = set()
    for mistake in load("mistakes")["mistake"]:
        sign = next((s for s in mistake["signs"] if s.get("about", "figures") == about and _fits(s, facts)), None)
        if sign and not (about == "run" and explained & sign["holds"].keys()):
            explained |= sign["holds"].keys()
            evidence = sign["evidence"].format_map(facts)
            resembled.append(Resembled(mistake["id"], mistake["text"], evidence, mistake["remedy"]))
    return tuple(resembled)


def _fits(sign: Mapping[str, Any], facts: Mapping[str, float]) -> bool:
    known = sign["holds"].keys() <= facts.keys() and not facts.keys() & set(sign.get("without", ()))
    return known and all(low <= facts[name] <= high for name, (low, high) in sign["holds"].items())


def _telling(figures: Sequence[Placed]) -> Placed:
    """Return the figure to speak of: the final score before a loss, else the one that lies farthest out."""
    finals = [p for name in FINAL_SCORES for p in figures if p.name == name]
    return finals[0] if finals else min(figures, key=lambda p: p.p_value)


def _words_of(p: Placed) -> dict[str, str | float]:
    """Return what the sentences say of a figure."""
    kind, _, epoch = p.name.rpartition("_")
    where = f"is at percentile {p.percentile:.0f} of the"
    if p.percentile in (0, 100):
        where = f"lies {'above' if p.percentile else 'below'} all"
    return {
        "figure": f"{name_of(kind)} {p.value:.4f}{' in epoch 1' if epoch == '1' else ''}",
        "where": f"{where} {p.reruns} reruns",
        "usual": "95 in 100 sound runs have {:.4f} to {:.4f}".format(*p.interval),
        "high": "good" if "loss" in kind else "high",
        "only_just": ", if only just" if p.p_value > ALPHA else "",
        "as_far_out": f"about {100 * p.p_value:.2g} in 100 sound runs",
    }
