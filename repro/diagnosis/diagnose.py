"""Is a stranger's run normal? Its place among the 94 distinct reruns, and the known mistake that it resembles."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import sqrt
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from repro.claims.references import Figure, Joint
from repro.claims.reruns import FIGURES, joint_distance, reference
from repro.claims.wording import brief
from repro.diagnosis.student_run import EPOCHS, StudentRun
from repro.stats import t_tail

# 1 % for the most extreme figure, shared among those given, and 1 % for all of them together: judged against
# the other 93, 1 of the 94 reruns is flagged (a test runs all of them through, whole and figure by figure).
# A final score beyond all reruns and outside their 95 % interval is not called normal either.
ALPHA = 0.01
BEYOND = 0.05
FINAL_SCORES = ("f1_2", "accuracy_2")
NAMES = {"train_loss": "training loss", "valid_loss": "validation loss", "accuracy": "accuracy", "f1": "F1"}
Outcome = Literal["normal", "low", "suspiciously high", "odd together", "not comparable", "stopped", "the book's own"]
OTHER_EMOTIONS = ("go_emotion", "goemotion", "tweet_eval", "unsplit")  # names that hold the corpus's, and aren't it
LEAST_OF_THE_BOOK = 3  # figures that must agree with the book's in every digit


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sign(_Data):
    """One way to know a mistake: facts within their bounds or equal to a word, others not known, and the evidence."""

    about: Literal["run", "figures", "note"] = "figures"
    holds: dict[str, tuple[float, float] | str]
    without: tuple[str, ...] = ()
    evidence: str

    def fits(self, facts: dict[str, float | str]) -> bool:
        """Tell whether the facts show this sign."""
        return not any(name in facts for name in self.without) and all(
            name in facts and (facts[name] == wanted if isinstance(wanted, str) else _within(facts[name], wanted))
            for name, wanted in self.holds.items()
        )


class Mistake(_Data):
    """A known mistake, its signs and its remedy."""

    id: str
    text: str
    remedy: str
    signs: tuple[Sign, ...]


class Mistakes(_Data):
    """All known mistakes, the first in the file before the others, the reruns' recipe, the book's figures."""

    schema_version: int
    recipe: dict[str, str | float]
    book: dict[str, float]
    mistake: tuple[Mistake, ...]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One figure's place among the reruns: percentile (0 to 100), and p of lying so far out as one further run."""

    name: str
    value: float
    percentile: float
    p_value: float
    figure: Figure

    def __str__(self) -> str:
        kind, _, epoch = self.name.rpartition("_")
        return f"{NAMES[kind]} {self.value:.4f}" + (" in epoch 1" if epoch == "1" else "")

    @property
    def is_beyond(self) -> bool:
        """Whether it is a final score that none of the reruns comes up to, or down to."""
        return self.name in FINAL_SCORES and self.percentile in (0, 100) and self.p_value < BEYOND

    @property
    def better(self) -> bool:
        """Whether it lies on the good side of the reruns' mean."""
        return (self.value > self.figure.mean) != ("loss" in self.name)


@dataclass(frozen=True, kw_only=True)
class Resembled:
    """A mistake that the run resembles, and by what."""

    id: str
    text: str
    evidence: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What is to be said of a run, in one sentence and in full."""

    source: str
    outcome: Outcome
    sentence: str
    placed: tuple[Placed, ...]
    joint: Joint | None
    mistakes: tuple[Resembled, ...]
    notes: tuple[Resembled, ...]
    remarks: tuple[str, ...]

    def as_row(self) -> dict[str, Any]:
        """Return the diagnosis as JSON."""
        return {
            "source": self.source,
            "outcome": self.outcome,
            "sentence": self.sentence,
            "figures": [
                {
                    "name": p.name, "value": p.value, "percentile": p.percentile, "p_value": p.p_value,
                    "reruns": p.figure.n, "mean": p.figure.mean, "sd": p.figure.sd,
                    "interval": list(p.figure.prediction_interval()),
                }
                for p in self.placed
            ],
            "joint": None if self.joint is None else {**vars(self.joint), "figures": list(self.joint.figures)},
            "mistakes": [vars(mistake) for mistake in self.mistakes],
            "notes": [vars(note) for note in self.notes],
            "remarks": list(self.remarks),
        }  # fmt: skip


@cache
def load_mistakes() -> Mistakes:
    """Read and check the mistakes that come with the suite."""
    text = files("repro.diagnosis").joinpath("mistakes.toml").read_text(encoding="utf-8")
    return Mistakes.model_validate(tomllib.loads(text))


def diagnose_run(run: StudentRun, *, without: int | None = None) -> Diagnosis:
    """Place the run among the reruns and say what it is; `without` leaves one rerun out of the joint population."""
    facts = run.facts()
    given = {name: float(facts[name]) for name in FIGURES if name in facts}
    placed = tuple(_place(name, value) for name, value in given.items())
    joint = joint_distance(given, without=without)
    odd = [p for p in placed if p.p_value * len(placed) < ALPHA] or [p for p in placed if p.is_beyond]
    together = joint is not None and joint.p_value < ALPHA
    differs = _differences(run)
    # what was run explains how it came out
    mistakes = _resembled(facts, "run") or (_resembled(facts, "figures") if odd or together else ())
    outcome: Outcome = "normal"
    if run.stopped:
        outcome = "stopped"
    elif _is_the_book(given):
        outcome = "the book's own"
    elif differs or _resembled(facts, "run"):
        outcome = "not comparable"
    elif odd:
        outcome = "suspiciously high" if _telling(odd).better else "low"
    elif together:
        outcome = "odd together"
    return Diagnosis(
        source=run.source,
        outcome=outcome,
        sentence=_stopped(run.stopped, differs) or _sentence(outcome, odd or placed, joint, differs, mistakes),
        placed=placed,
        joint=joint,
        mistakes=mistakes,
        notes=_resembled(facts, "note"),
        remarks=run.remarks,
    )


def _place(name: str, value: float) -> Placed:
    figure = reference(name)
    t = abs(value - figure.mean) / (figure.sd * sqrt(1 + 1 / figure.n))
    p_value = 2 * t_tail(t, figure.n - 1)
    return Placed(name=name, value=value, percentile=figure.percentile(value), p_value=p_value, figure=figure)


def _differences(run: StudentRun) -> str:
    """Return in words what the run states of its recipe that the reruns have otherwise."""
    stated = {**run.recipe, **({} if run.epochs is None and run.epochs_run == EPOCHS else {"epochs": run.epochs_run})}
    differences = []
    for name, expected in load_mistakes().recipe.items():
        if not _is_same(name, value := stated.get(name, expected), expected):
            this, that = (v if isinstance(v, str) else f"{v:g}" for v in (value, expected))
            part = (
                f"{this} epoch{'' if value == 1 else 's'}" if name == "epochs" else f"{name.replace('_', ' ')} {this}"
            )
            differences.append(f"{part} instead of {that}")
    return ", ".join(differences)


def _is_same(name: str, value: str | float, expected: str | float) -> bool:
    if not isinstance(expected, str) or not isinstance(value, str):
        return value == expected
    last = value.rstrip("/").rpartition("/")[2].lower()
    if name == "corpus":
        return "emotion" in last and not any(other in value.lower() for other in OTHER_EMOTIONS)
    if name == "tokenizer" and last == "bert-base-uncased":  # the same vocabulary
        return True
    return last == expected.lower()


def _is_the_book(given: dict[str, float]) -> bool:
    """Tell whether all figures are the book's own, in all the digits that are given."""
    book = load_mistakes().book
    digits = {name: min(len(f"{value!r}".partition(".")[2]), 6) for name, value in given.items()}
    same = [name for name, value in given.items() if round(value, digits[name]) == round(book[name], digits[name])]
    return len(given) >= LEAST_OF_THE_BOOK and len(same) == len(given) and any("loss" in name for name in same)


def _resembled(facts: dict[str, float | str], about: str) -> tuple[Resembled, ...]:
    """Return the mistakes of which a sign fits, each with its first one; a fact about the run is explained once."""
    resembled = []
    explained: set[str] = set()
    for mistake in load_mistakes().mistake:
        sign = next((s for s in mistake.signs if s.about == about and s.fits(facts)), None)
        if sign and not (about == "run" and explained & sign.holds.keys()):
            explained |= sign.holds.keys()
            evidence = sign.evidence.format_map(facts)
            resembled.append(Resembled(id=mistake.id, text=mistake.text, evidence=evidence, remedy=mistake.remedy))
    return tuple(resembled)


def _telling(placed: list[Placed] | tuple[Placed, ...]) -> Placed:
    """Return the figure to speak of: the final score before a loss, else the one that lies farthest out."""
    for name in FINAL_SCORES:
        for p in placed:
            if p.name == name:
                return p
    return min(placed, key=lambda p: p.p_value)


def _stopped(where: str, differs: str) -> str:
    if not where:
        return ""
    besides = f" Besides, it is not the seminar's recipe: {differs}." if differs else ""
    return f"Stopped {where}: what it shows is not the end of a run. Train to the end, and ask again.{besides}"


def _sentence(
    outcome: Outcome,
    placed: list[Placed] | tuple[Placed, ...],
    joint: Joint | None,
    differs: str,
    mistakes: tuple[Resembled, ...],
) -> str:
    if outcome == "the book's own":
        return "The book's own output: every digit is what the book prints, so it tells nothing of a run of yours."
    like = f" It looks like {mistakes[0].text}: {mistakes[0].evidence}." if mistakes else ""
    if outcome == "not comparable":
        return f"Not comparable with the reruns{f': {differs}' if differs else ''}.{like}"
    if outcome == "odd together" and joint is not None:
        return (
            f"Odd: each figure is one that the reruns have, but not together; about "
            f"{max(joint.p_value, 0.0001) * 100:.2g} in 100 sound runs lie so far out.{like}"
        )
    if not placed:
        return "Normal as far as it goes: what is given is what the reruns have, but no score or loss is among it."
    p = _telling(placed)
    low, high = p.figure.prediction_interval()
    sound = f"95 in 100 sound runs have {brief(round(low, 4))} to {brief(round(high, 4))}"
    extreme = p.percentile in (0, 100)
    if outcome == "normal" and extreme:
        return (
            f"Normal, if only just: about {100 * p.p_value:.2g} in 100 sound runs lie as far out as {p}; {sound}.{like}"
        )
    lead = {"low": "Low", "suspiciously high": "Suspiciously high"}.get(outcome, "Normal")
    if p.is_beyond and p.p_value > ALPHA:
        lead += ", if only just"
    if outcome == "suspiciously high" and "loss" in p.name:
        lead = "Suspiciously good"
    where = f"is at percentile {p.percentile:.0f} of the {p.figure.n} reruns"
    if extreme:
        where = f"lies {'below' if p.percentile == 0 else 'above'} all {p.figure.n} reruns"
    return f"{lead}: {p} {where}; {sound}.{like}"


def _within(value: float | str, bounds: tuple[float, float] | str) -> bool:
    return not isinstance(value, str) and not isinstance(bounds, str) and bounds[0] <= value <= bounds[1]
