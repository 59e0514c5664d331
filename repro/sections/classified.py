"""What sections that classify share: scores, and confusion matrices beside the published ones, drawn and tabled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.claims.catalogue import load_catalogue
from repro.display.figure import Drawing, caption_of, new_figure
from repro.display.table import Table
from repro.records.schema import LABELS, RowResults, RunRecord, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pydantic import JsonValue

    from repro.training.predict import RowOutputs

Rates = Sequence[Sequence[float]]
MIDDLE = 0.5  # of the ramp: on its light half the writing is black
OUTLINE = "#ff5a36"  # on cividis, light and dark alike


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


@dataclass(frozen=True, kw_only=True)
class PublishedMatrix:
    """A matrix that the seminar's sources print: rates, the claim's tolerance for a cell, and where it stands."""

    rates: Rates
    tolerance: float
    source: str


def published_matrix(section: str) -> PublishedMatrix | None:
    """Return the validation matrix that the claims report for a section, or None."""
    for claim in load_catalogue().claim:
        if claim.measure == f"{section}:facts.confusion_rates" and isinstance(claim.tolerance, float):
            return PublishedMatrix(rates=claim.reported, tolerance=claim.tolerance, source=claim.source)
    return None


def confusion_figures(record: RunRecord, names: Sequence[str]) -> Iterator[Drawing]:
    """Draw the confusion matrix of each of the named scores; one on validation beside the published one."""
    spec, seeded = record.spec, bool(record.epochs)
    for name in names:
        scores = record.scores[name]
        rates = rates_of(scores.confusion)
        labels = LABELS[: len(rates)]
        published = published_matrix(record.experiment) if name.endswith("validation") else None
        caption = f"{record.experiment} ({name}): {caption_of(spec, seeded=seeded)}"
        recalls = ", ".join(f"{label} {rates[i][i]:.2f}" for i, label in enumerate(labels))
        yield Drawing(
            name=f"confusion-{spec.slug}-{name.replace('/', '-')}" + (f"-seed{spec.seed}" if seeded else ""),
            figure=_draw(scores, labels, caption, published if len(labels) == len(LABELS) else None),
            title=f"{caption}, n = {scores.n:,}, accuracy {scores.accuracy:.4f}",
            description=f"Row-normalised confusion matrix. Recall of each class: {recalls}.",
        )


def cell_table(records: Sequence[RunRecord]) -> Table:
    """One row a run and cell: reported and measured rate, their difference, and whether it is tolerated."""
    rows = []
    for record in records:
        published, measured = published_matrix(record.experiment), record.facts.get("confusion_rates")
        if published is None or not isinstance(measured, list):
            continue
        for i, j, rate in _cells(measured):
            difference = rate - published.rates[i][j]
            rows.append(
                (record.spec.slug, record.experiment, str(record.settings.seed), LABELS[i], LABELS[j],
                 f"{published.rates[i][j]:.2f}", f"{rate:.4f}", f"{difference:+.4f}",
                 "yes" if abs(difference) <= published.tolerance else "no")
            )  # fmt: skip
    head = ("run", "experiment", "seed", "true", "predicted", "reported", "measured", "difference", "within tolerance")
    return Table(head, tuple(rows))


def rates_of(confusion: Sequence[Sequence[int]]) -> list[list[float]]:
    """Divide each row (a true class) by its sum; a class without rows gives zeros."""
    return [[count / max(sum(row), 1) for count in row] for row in confusion]


def _draw(scores: Scores, labels: Sequence[str], caption: str, published: PublishedMatrix | None) -> Figure:
    """Draw a row-normalised confusion matrix, true class a row, with its counts; the published one to its left."""
    from matplotlib.patches import Rectangle

    rates = rates_of(scores.confusion)
    figure = new_figure(11.0 if published else 6.4, 6.2 if published else 6.4)
    *others, panel = figure.subplots(1, 2 if published else 1, squeeze=False)[0]
    measured = f"n = {scores.n:,}, accuracy {scores.accuracy:.4f}, weighted F1 {scores.weighted_f1:.4f}"
    if published:
        _draw_matrix(others[0], published.rates, labels, [[f"{r:.2f}" for r in row] for row in published.rates])
        others[0].set_title(f"reported (distilbert, {published.source}), n = 2,000", fontsize=10)
        panel.set_title(f"measured, {measured}", fontsize=10)
        far = [(i, j) for i, j, rate in _cells(rates) if abs(rate - published.rates[i][j]) > published.tolerance]
        for i, j in far:
            panel.add_patch(Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor=OUTLINE, lw=2))
        note = f"outlined: further than ±{published.tolerance:g} from the reported rate ({len(far)} of 36 cells)"
        figure.supxlabel(note, fontsize=9)
        figure.suptitle(caption, fontsize=11)
    else:
        panel.set_title(f"{caption}\n{measured}", fontsize=10)
    written = [[f"{rate:.2f}\n{scores.confusion[i][j]}" for j, rate in enumerate(row)] for i, row in enumerate(rates)]
    _draw_matrix(panel, rates, labels, written)
    return figure


def _cells(rates: Any) -> list[tuple[int, int, float]]:
    return [(i, j, float(rate)) for i, row in enumerate(rates) for j, rate in enumerate(row)]


def _draw_matrix(axes: Axes, rates: Rates, labels: Sequence[str], written: Sequence[Sequence[str]]) -> None:
    axes.imshow(rates, cmap="cividis", vmin=0, vmax=1)  # one lightness ramp, the same for every kind of sight
    for i, j, rate in _cells(rates):
        shade = "black" if rate > MIDDLE else "white"
        axes.text(j, i, written[i][j], ha="center", va="center", color=shade, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true")
