"""What sections that classify share: scores, and one confusion matrix for all seeds, beside the reported one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from repro.claims.catalogue import load_catalogue
from repro.claims.cohorts import Cohort
from repro.display import BARS, INK, SECOND, Drawing, panels, plural
from repro.records.schema import LABELS, RowResults, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pydantic import JsonValue

    from repro.claims.claim import Claim
    from repro.training.predict import RowOutputs

Rates = NDArray[np.float64]  # (classes, classes), true by predicted, each row adds up to 1
DARKEST = 0.65  # of a cell: its text stays readable in light and dark
OFF_DIAGONAL, DIFFERENCE = 0.3, 0.15  # that and more is darkest: an off-diagonal rate of 0.11 is seen
LEAST = 0.005  # of a difference: less has no sign in two decimals


def score_outputs(labels: list[int], outputs: RowOutputs) -> tuple[Scores, RowResults]:
    """Return the scores of a model's outputs on a split, and its rows."""
    from repro.training.metrics import score

    losses = [round(loss, 6) for loss in outputs.losses.tolist()]
    rows = RowResults(labels=labels, predictions=outputs.predictions, losses=losses)
    return score(labels, rows.predictions, classes=len(LABELS), loss=outputs.mean_loss), rows


def confusion_facts(scores: Scores) -> dict[str, JsonValue]:
    """Return what the claims ask of a confusion matrix."""
    from repro.training.metrics import confusion_rates, most_often_taken_for

    return {
        "confusion_rates": confusion_rates(scores.confusion),
        "most_often_taken_for": dict(most_often_taken_for(scores.confusion, LABELS)),
    }


def published_matrix(section: str) -> Claim | None:
    """Return the claim that reports a section's validation matrix: its rates, and the tolerance of a cell."""
    claims = (claim for claim in load_catalogue().claim if claim.measure == f"{section}:facts.confusion_rates")
    return next((claim for claim in claims if isinstance(claim.tolerance, float)), None)


def figures(cohort: Cohort) -> Iterator[Drawing]:
    """Draw the mean of the seeds' row-normalised validation matrices, after the last epoch where there are several.

    Beside it the reported one and the difference; nothing where the seminar reports no matrix of these classes.
    """
    names = "logistic/validation", f"epoch-{cohort.records[0].recipe.epochs}/validation"
    scored = [record.scores[name] for record in cohort.records for name in names if name in record.scores]
    claim = published_matrix(cohort.experiment)
    if claim is None or not scored or len(scored[0].confusion) != len(LABELS):
        return
    counts = [np.array(scores.confusion, dtype=float) for scores in scored]
    mean: Rates = np.mean([matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1) for matrix in counts], axis=0)
    reported: Rates = np.array(claim.reported)
    away, tolerance = mean - reported, claim.tolerance_of("")
    seeds, accuracy = f"mean of {plural(len(scored), 'seed')}", np.mean([scores.accuracy for scores in scored])
    figure, row = panels(12.0, 4.1, 3)
    _matrix(row[0], reported, title=f"reported ({claim.source})")
    _matrix(row[1], mean, title=f"measured, {seeds}: accuracy {accuracy:.4f}")
    _matrix(row[2], away, title="measured minus reported", limit=tolerance)
    figure.supxlabel(
        f"a row is a true class; off the diagonal the shade goes from 0 to {OFF_DIAGONAL} and more, of a difference to "
        f"±{DIFFERENCE}",
        fontsize=9,
    )
    recalls = ", ".join(f"{label} {mean[i][i]:.2f}" for i, label in enumerate(LABELS))
    yield Drawing(
        name=f"confusion-{cohort.experiment}",
        figure=figure,
        title=f"Confusion matrices, reported and measured ({seeds}, n = {scored[0].n:,}; {cohort.setup.label}), and "
        f"their difference; framed: more than ±{tolerance:g} away ({(abs(away) > tolerance).sum()} cells)",
        description=f"Row-normalised confusion matrices. Measured recall of each class: {recalls}.",
    )


def _matrix(axes: Axes, rates: Rates, *, title: str, limit: float | None = None) -> None:
    """Draw one matrix; with a `limit` it is one of differences, and cells beyond the limit are framed."""
    from matplotlib.patches import Rectangle

    full = OFF_DIAGONAL if limit is None else DIFFERENCE
    for (i, j), rate in np.ndenumerate(rates):
        shade = 0.0 if i == j and limit is None else min(abs(rate) / full, 1) * DARKEST
        axes.add_patch(
            Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=SECOND if rate < 0 else BARS, alpha=shade, linewidth=0)
        )
        if limit is not None and abs(rate) > limit:
            axes.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor=INK, linewidth=1.5))
        text = f"{abs(rate):.2f}" if limit is None or abs(rate) < LEAST else f"{rate:+.2f}".replace("-", "−")
        weight = "bold" if i == j else "normal"
        axes.text(j, i, text, ha="center", va="center", fontsize=9, weight=weight, color=INK)
    places, end = range(len(LABELS)), len(LABELS) - 0.5
    axes.set_xticks(places, LABELS, rotation=30, ha="right")
    axes.set_yticks(places, LABELS)
    axes.tick_params(length=0)
    axes.set(xlim=(-0.5, end), ylim=(end, -0.5), title=title)
