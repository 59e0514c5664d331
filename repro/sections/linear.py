"""Dummy and logistic regression on the frozen [CLS] states (seed, "Training a simple classifier").

The regression is fitted three times on one objective: as published (lbfgs, at most 3,000 iterations), in double
precision by a solver of second order, which ends in the optimum itself, and stopped at scikit-learn's default of 100
iterations, as a ConvergenceWarning announces it: the difference is what an unconverged figure is worth.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.display.figure import Drawing
from repro.display.table import Table
from repro.errors import UsageError
from repro.records.schema import LABELS, Measurements, RowResults, RunRecord
from repro.records.store import newest_runs
from repro.sections.classified import confusion_facts, confusion_figures
from repro.sections.context import Context, Section

MAX_ITER = 3000  # the seminar's, "to guarantee convergence"


@dataclass(frozen=True, kw_only=True)
class Solver:
    """One way to fit the same objective."""

    solver: str
    max_iter: int = MAX_ITER
    tolerance: float = 1e-4  # scikit-learn's default
    double: bool = False  # else in the states' own single precision


SOLVERS: Mapping[str, Solver] = {
    "logistic": Solver(solver="lbfgs"),
    "converged": Solver(solver="newton-cg", tolerance=1e-6, double=True),
    "stopped": Solver(solver="lbfgs", max_iter=100),
}


def run(context: Context, _seed: int) -> Measurements:
    """Fit all on train and score them on validation; nothing is drawn, so another seed changes nothing."""
    from sklearn.dummy import DummyClassifier

    from repro.training.metrics import score

    with context.timed("extract"):
        states = {split: tensor.numpy() for split, tensor in context.cls_states.items()}
    labels = {split: context.corpus.labels(split) for split in states}
    if len(set(labels["train"])) == 1:
        raise UsageError("all training rows have one label, nothing can be learned", "Use more rows with --limit.")
    with context.timed("dummy"):
        models = {"dummy": DummyClassifier(strategy="most_frequent").fit(states["train"], labels["train"])}
    fits: dict[str, Any] = {}
    for name, solver in SOLVERS.items():
        with context.timed(name), context.progress.wait(f"logistic regression, {solver.solver}"):
            models[name], converged = fit_logistic(solver, states["train"], labels["train"])
        fits[name] = {
            "solver": solver.solver,
            "max_iter": solver.max_iter,
            "n_iter": [int(n) for n in models[name].n_iter_],
            "converged": converged,
            "objective": objective(models[name], states["train"], labels["train"]),
        }
    true = labels["validation"]
    said = {f"{name}/validation": model.predict(states["validation"]).tolist() for name, model in models.items()}
    scores = {name: score(true, predictions, classes=len(LABELS)) for name, predictions in said.items()}
    return Measurements(
        facts={
            **{name: fits["logistic"][name] for name in ("solver", "max_iter", "n_iter", "converged")},
            "fits": fits,
            "majority_class": LABELS[said["dummy/validation"][0]],
            **confusion_facts(scores["logistic/validation"]),
        },
        scores=scores,
        rows={name: RowResults(labels=true, predictions=predictions) for name, predictions in said.items()},
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


def figures(record: RunRecord) -> Iterator[Drawing]:
    """Draw the confusion matrix of the regression that the seminar fits."""
    return confusion_figures(record, [name for name in record.scores if name == "logistic/validation"])


def tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return the three fits of each record: solver, iterations, the objective it ended at, and its scores."""
    rows = []
    for r in newest_runs(records, "linear"):
        fits: Any = r.facts.get("fits", {})
        for name, fit in fits.items():
            scores = r.scores[f"{name}/validation"]
            rows.append(
                (
                    f"{r.recipe.name} on {r.corpus.name}", fit["solver"], f"{fit['max_iter']:,}",
                    ", ".join(map(str, fit["n_iter"])), "yes" if fit["converged"] else "no",
                    f"{fit['objective']:.2f}", f"{scores.accuracy:.4f}", f"{scores.weighted_f1:.4f}",
                    f"{r.seconds[name]:.1f}",
                )
            )  # fmt: skip
    head = ("on", "solver", "at most", "iterations", "converged", "objective", "accuracy", "weighted F1", "seconds")
    return {"fits": Table(head, tuple(rows))}


SECTION = Section.of(globals(), heading="Simple classifier", what="dummy and logistic regression on the frozen states")
