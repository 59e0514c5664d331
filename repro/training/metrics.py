"""Scores of predictions against labels: accuracy, weighted and macro F1, confusion matrix, 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score

from repro.records.schema import Scores

RESAMPLES = 2_000


def score(labels: Sequence[int], predictions: Sequence[int], *, classes: int, loss: float | None = None) -> Scores:
    """Score `predictions` (n,) against `labels` (n,); a class that is never predicted has an F1 of 0.

    The interval of the accuracy is Wilson's; that of the weighted F1 the percentile bootstrap over rows.
    """
    ids, n = list(range(classes)), len(labels)
    matrix = confusion_matrix(labels, predictions, labels=ids)
    hits = int(matrix.trace())
    wilson = binomtest(hits, n).proportion_ci(method="wilson")
    weighted, macro, by_class = (
        f1_score(labels, predictions, labels=ids, average=average, zero_division=0)
        for average in ("weighted", "macro", None)
    )
    return Scores(
        n=n, accuracy=hits / n, accuracy_interval=(float(wilson.low), float(wilson.high)),
        weighted_f1=float(weighted), weighted_f1_interval=_bootstrap_weighted_f1(matrix), macro_f1=float(macro),
        class_f1=[float(f1) for f1 in by_class], confusion=matrix.tolist(), loss=loss,
    )  # fmt: skip


def confusion_rates(confusion: Sequence[Sequence[int]]) -> list[JsonValue]:
    """Divide each row (a true class) by its sum; a class without rows gives zeros."""
    matrix = np.asarray(confusion, dtype=float)
    rates: list[JsonValue] = (matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)).tolist()
    return rates


def most_often_taken_for(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, str]:
    """Map each true class to the wrong class it is most often predicted as; `nothing` for a class never mistaken."""
    matrix = np.array(confusion)
    np.fill_diagonal(matrix, 0)
    return {name: names[int(row.argmax())] if row.any() else "nothing" for name, row in zip(names, matrix, strict=True)}


def _bootstrap_weighted_f1(matrix: NDArray[np.int64]) -> tuple[float, float]:
    # n rows drawn with replacement fall into the cells of the matrix as a multinomial draw: no row is needed for it
    n, classes = int(matrix.sum()), len(matrix)
    draws = np.random.default_rng(0).multinomial(n, matrix.ravel() / n, size=RESAMPLES)
    cells = draws.reshape(RESAMPLES, classes, classes)
    hits = cells.diagonal(axis1=1, axis2=2)  # (RESAMPLES, classes)
    support, predicted = cells.sum(axis=2), cells.sum(axis=1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    low, high = np.quantile((f1 * support).sum(axis=1) / n, [0.025, 0.975])
    return float(low), float(min(high, 1.0))
