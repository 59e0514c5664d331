"""Dummy and logistic regression on the frozen [CLS] states (seed, "Training a simple classifier")."""

from __future__ import annotations

import warnings
from typing import Any

from repro.errors import UsageError
from repro.records.schema import LABELS, Measurements, RowResults
from repro.sections.classified import confusion_facts, figures
from repro.sections.context import Context, Section
from repro.training.progress import waiting

MAX_ITER = 3000  # the seminar's, "to guarantee convergence"


def run(context: Context, _seed: int) -> Measurements:
    """Fit both on train and score them on validation; nothing is drawn, so another seed changes nothing."""
    from sklearn.dummy import DummyClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    from repro.training.metrics import score

    with context.timed("extract"):
        states = {split: tensor.numpy() for split, tensor in context.cls_states.items()}
    train, true = context.corpus.labels("train"), context.corpus.labels("validation")
    if len(set(train)) == 1:
        raise UsageError("all training rows have one label, nothing can be learned", "Use more rows with --limit.")
    with context.timed("dummy"):
        models = {"dummy": DummyClassifier(strategy="most_frequent").fit(states["train"], train)}
    fit: Any = LogisticRegression(max_iter=MAX_ITER)
    shown = waiting("logistic regression")
    with context.timed("logistic"), shown, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        models["logistic"] = fit.fit(states["train"], train)
    said = {f"{name}/validation": model.predict(states["validation"]).tolist() for name, model in models.items()}
    scores = {name: score(true, predictions, classes=len(LABELS)) for name, predictions in said.items()}
    return Measurements(
        facts={
            "solver": fit.solver,
            "max_iter": fit.max_iter,
            "n_iter": [int(n) for n in fit.n_iter_],
            "converged": not any(issubclass(warning.category, ConvergenceWarning) for warning in caught),
            "majority_class": LABELS[said["dummy/validation"][0]],
            **confusion_facts(scores["logistic/validation"]),
        },
        scores=scores,
        rows={name: RowResults(labels=true, predictions=predictions) for name, predictions in said.items()},
    )


__all__ = ["SECTION", "figures", "run"]
SECTION = Section.of(globals(), heading="Simple classifier", what="dummy and logistic regression on the frozen states")
