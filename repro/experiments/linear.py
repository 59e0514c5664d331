"""Dummy and logistic regression on the frozen [CLS] states (seed, "Training a simple classifier")."""

from __future__ import annotations

import warnings

from repro.errors import UsageError
from repro.experiments.context import Context, timed
from repro.records.record import LABELS, Measurements, RowResults
from repro.training.metrics import confusion_rates, most_often_taken_for, score

MAX_ITER = 3000  # the seminar's, "to guarantee convergence"


def run(context: Context, seed: int) -> Measurements:
    """Fit both on train and score them on validation; lbfgs draws nothing, so `seed` changes nothing."""
    del seed
    from sklearn.dummy import DummyClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    seconds: dict[str, float] = {}
    with timed(seconds, "extract"):
        states = {split: found.numpy() for split, found in context.cls_states.items()}
    labels = {split: context.corpus.labels(split) for split in states}
    if len(set(labels["train"])) == 1:
        raise UsageError("all training rows have one label, nothing can be learned", "Use more rows with --limit.")
    logistic = LogisticRegression(max_iter=MAX_ITER)
    with timed(seconds, "logistic"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        with context.progress.wait("logistic regression"):
            logistic.fit(states["train"], labels["train"])
    dummy = DummyClassifier(strategy="most_frequent")
    with timed(seconds, "dummy"):
        dummy.fit(states["train"], labels["train"])
    predictions = {
        name: [int(y) for y in model.predict(states["validation"])]
        for name, model in (("dummy", dummy), ("logistic", logistic))
    }
    scores = {
        f"{name}/validation": score(labels["validation"], found, classes=len(LABELS))
        for name, found in predictions.items()
    }
    confusion = scores["logistic/validation"].confusion
    return Measurements(
        facts={
            "solver": logistic.solver,
            "max_iter": MAX_ITER,
            "n_iter": [int(n) for n in logistic.n_iter_],
            "converged": not any(issubclass(w.category, ConvergenceWarning) for w in caught),
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
