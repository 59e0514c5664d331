"""Dummy and logistic regression on the frozen [CLS] states (seed, "Training a simple classifier").

The regression is fitted three times on one objective: as published (lbfgs, at most 3,000 iterations), in double
precision by a solver of second order, which ends in the optimum itself, and stopped at scikit-learn's default of 100
iterations, as a ConvergenceWarning announces it: the difference is what an unconverged figure is worth.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from repro.errors import UsageError
from repro.records.record import LABELS, Measurements, RowResults
from repro.sections.context import Context, timed
from repro.training.metrics import confusion_rates, most_often_taken_for, score

MAX_ITER = 3000  # the seminar's, "to guarantee convergence"


@dataclass(frozen=True, kw_only=True)
class Solver:
    """One way to fit the same objective."""

    solver: str
    max_iter: int
    tolerance: float = 1e-4  # scikit-learn's default
    double: bool = False  # else in the states' own single precision
    runs_to_the_end: bool = True


SOLVERS: Mapping[str, Solver] = MappingProxyType(
    {
        "logistic": Solver(solver="lbfgs", max_iter=MAX_ITER),
        "converged": Solver(solver="newton-cg", max_iter=MAX_ITER, tolerance=1e-6, double=True),
        "stopped": Solver(solver="lbfgs", max_iter=100, runs_to_the_end=False),
    }
)


def run(context: Context, seed: int) -> Measurements:
    """Fit all on train and score them on validation; nothing is drawn, so `seed` changes nothing."""
    del seed
    from sklearn.dummy import DummyClassifier

    seconds: dict[str, float] = {}
    with timed(seconds, "extract"):
        states = {split: found.numpy() for split, found in context.cls_states.items()}
    labels = {split: context.corpus.labels(split) for split in states}
    if len(set(labels["train"])) == 1:
        raise UsageError("all training rows have one label, nothing can be learned", "Use more rows with --limit.")
    dummy = DummyClassifier(strategy="most_frequent")
    with timed(seconds, "dummy"):
        dummy.fit(states["train"], labels["train"])
    models: dict[str, Any] = {"dummy": dummy}
    fits: dict[str, dict[str, JsonValue]] = {}
    for name, solver in SOLVERS.items():
        with timed(seconds, name), context.progress.wait(f"logistic regression, {solver.solver}"):
            models[name], converged = fit_logistic(solver, states["train"], labels["train"])
        fits[name] = {
            "solver": solver.solver,
            "max_iter": solver.max_iter,
            "n_iter": [int(n) for n in models[name].n_iter_],
            "converged": converged,
            "objective": objective(models[name], states["train"], labels["train"]),
        }
    predictions = {name: [int(y) for y in model.predict(states["validation"])] for name, model in models.items()}
    scores = {
        f"{name}/validation": score(labels["validation"], found, classes=len(LABELS))
        for name, found in predictions.items()
    }
    confusion = scores["logistic/validation"].confusion
    return Measurements(
        facts={
            **{name: fits["logistic"][name] for name in ("solver", "max_iter", "n_iter", "converged")},
            "fits": dict(fits),
            "majority_class": LABELS[predictions["dummy"][0]],
            "confusion_rates": confusion_rates(confusion),
            "most_often_taken_for": dict(most_often_taken_for(confusion, LABELS)),
        },
        scores=scores,
        rows={
            f"{name}/validation": RowResults(labels=labels["validation"], predictions=found)
            for name, found in predictions.items()
        },
        seconds=seconds,
    )


def fit_logistic(solver: Solver, states: NDArray[np.float32], labels: Sequence[int]) -> tuple[Any, bool]:
    """Fit scikit-learn's LogisticRegression on states (n, H); return it and whether it says that it converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(solver=solver.solver, max_iter=solver.max_iter, tol=solver.tolerance)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(states.astype(np.float64) if solver.double else states, labels)
    return model, not any(issubclass(w.category, ConvergenceWarning) for w in caught)


def objective(model: Any, states: NDArray[np.float32], labels: Sequence[int]) -> float:
    """Return what the fit minimizes: cross-entropy summed over the rows (nats) plus half the squared weights, C = 1."""
    from sklearn.metrics import log_loss

    shares = model.predict_proba(states.astype(np.float64))
    rows = log_loss(labels, shares, normalize=False, labels=model.classes_)
    return float(rows + 0.5 * np.square(model.coef_).sum())
