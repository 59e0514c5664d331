"""The sections that classify, a figure for all seeds: confusion matrices beside the reported, and epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Kind
from repro.claims.cohorts import Cohort
from repro.claims.judge import Verdict
from repro.claims.wording import plural
from repro.display.figure import BARS, Drawing
from repro.records.schema import LABELS
from repro.report.inline import INK, SECOND, panels
from repro.sections.classified import published_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rates = NDArray[np.float64]  # (classes, classes), true by predicted, each row adds up to 1
DARKEST = 0.65  # of a cell: its text stays readable in light and dark
OFF_DIAGONAL, DIFFERENCE = 0.3, 0.15  # that and more is darkest: an off-diagonal rate of 0.11 is seen
MATRICES = {"linear": "logistic/validation", "finetune": "epoch-{epochs}/validation"}  # section: scores
LEAST = 0.005  # of a difference: less has no sign in two decimals
NAMES = {"train_loss": "training loss", "weighted_f1": "weighted F1"}


def confusion_drawing(cohort: Cohort) -> Drawing | None:
    """Draw the mean of the seeds' row-normalised matrices, and beside it the reported one and the difference.

    None where the runs hold no such scores; the mean alone where the seminar reports no matrix of these classes.
    """
    name = MATRICES[cohort.experiment].format(epochs=cohort.records[0].recipe.epochs)
    scored = [record.scores[name] for record in cohort.records if name in record.scores]
    if not scored:
        return None
    counts = [np.array(scores.confusion, dtype=float) for scores in scored]
    mean: Rates = np.mean([matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1) for matrix in counts], axis=0)
    labels = LABELS[: len(mean)]
    claim = published_matrix(cohort.experiment) if len(mean) == len(LABELS) else None
    seeds = f"mean of {plural(len(scored), 'seed')}"
    figure, row = panels(12.0 if claim else 4.4, 4.1, 3 if claim else 1)
    accuracy = np.mean([scores.accuracy for scores in scored])
    title = f"measured, {seeds}: accuracy {accuracy:.4f}"
    _matrix(row[-2 if claim else 0], mean, labels, title=title)
    note = ""
    if claim:
        reported: Any = np.array(claim.reported)
        tolerance = claim.tolerance_of("")
        away = mean - reported
        _matrix(row[0], reported, labels, title=f"reported ({claim.source})")
        _matrix(row[2], away, labels, title="measured minus reported", limit=tolerance)
        note = f", and their difference; framed: more than ±{tolerance:g} away ({(abs(away) > tolerance).sum()} cells)"
    figure.supxlabel(
        f"a row is a true class; off the diagonal the shade goes from 0 to {OFF_DIAGONAL} and more"
        + (f", of a difference to ±{DIFFERENCE}" if claim else ""),
        fontsize=9,
    )
    recalls = ", ".join(f"{label} {mean[i][i]:.2f}" for i, label in enumerate(labels))
    beside = "Confusion matrices, reported and measured" if claim else "Confusion matrix"
    return Drawing(
        name=f"confusion-{cohort.experiment}",
        figure=figure,
        title=f"{beside} ({seeds}, n = {scored[0].n:,}; {cohort.setup.label}){note}",
        description=f"Row-normalised confusion matrices. Measured recall of each class: {recalls}.",
    )


def _matrix(axes: Axes, rates: Rates, labels: Sequence[str], *, title: str, limit: float | None = None) -> None:
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
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=30, ha="right")
    axes.set_yticks(places, labels)
    axes.tick_params(length=0)
    axes.set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5))
    axes.set_title(title, fontsize=9.5)


def epoch_drawing(verdicts: Sequence[Verdict], catalogue: Catalogue) -> Drawing | None:
    """Draw what the log shows after each epoch: every seed, the reported value, and where a public rerun lies.

    None where the catalogue has no claim of several such figures.
    """
    logged = [v for v in verdicts if v.claim.kind is Kind.DISTRIBUTION and len(v.claim.figures) > 1]
    if not logged:
        return None
    parts = list(logged[0].claim.figures)
    figure, row = panels(12.0, 2.8, len(parts))
    for axes, part in zip(row, parts, strict=True):
        _epochs(axes, part, logged, catalogue)
    shown = next((v for v in logged if v.estimates), None)
    ours = f"ours: {plural(len(shown.seeds), 'seed')}, {shown.basis}" if shown else "not yet run by this suite"
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    said = "; ".join(f"epoch {i}: measured {v.shown or 'nothing'}" for i, v in enumerate(logged, 1))
    return Drawing(
        name="epochs",
        figure=figure,
        title=f"Epoch by epoch over the public reruns ({ours})",
        description=f"Losses, accuracy and weighted F1 after each epoch. {said}.",
    )


def _epochs(axes: Axes, part: str, logged: Sequence[Verdict], catalogue: Catalogue) -> None:
    epochs = range(1, len(logged) + 1)
    reruns = [catalogue.figure(v.claim.figures[part]) for v in logged]
    low, high = zip(*(figure.prediction_interval() for figure in reruns), strict=True)
    label = f"95 % of {reruns[0].n} public reruns"
    axes.fill_between(epochs, low, high, color=BARS, alpha=0.25, linewidth=0, label=label)
    reported = [v.claim.reported_of(part) for v in logged]
    axes.plot([*epochs], reported, "--", color=INK, linewidth=1, marker="_", label="reported")
    points = [(i, value) for i, v in zip(epochs, logged, strict=True) if part in v.estimates
              for value in v.estimates[part].values]  # fmt: skip
    x, y = zip(*points, strict=True) if points else ((), ())
    axes.scatter(x, y, color=SECOND, s=22, zorder=3, label="ours, a point a seed")
    axes.set_xticks(epochs, [f"epoch {i}" for i in epochs])
    axes.margins(x=0.15)
    axes.set_title(NAMES.get(part, part.replace("_", " ")), fontsize=9.5)
