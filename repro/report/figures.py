"""Which record gives which figures: the newest of every way of running, in the seminar's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.display.figure import Drawing, caption_of, newest_runs, save_figure, way_of
from repro.records.record import LABELS, RunRecord
from repro.report.confusions import draw_confusion, published_matrix
from repro.report.corpus import corpus_figures
from repro.report.probabilities import probability_figures
from repro.report.projection import draw_projection

SHARED = ("corpus-facts",)  # of a corpus, whatever the recipe: several records give figures of one name
Draw = Callable[[RunRecord], Iterator[Drawing]]


def draw_figures(records: Sequence[RunRecord], figures: Path) -> list[Path]:
    """Draw what the records (oldest first) hold, as SVG and PNG that are the same bytes each time; return the PNGs.

    Of records that give a figure of one name the newest one's stays.
    """
    names: dict[str, None] = {}
    for experiment in FIGURES:
        runs = newest_runs(records, experiment)
        for drawn in [runs] if experiment in SHARED else [[run] for run in runs]:
            names |= dict.fromkeys(_draw(figures, experiment, drawn))
    return [figures / f"{name}.png" for name in names]


def _draw(figures: Path, experiment: str, records: Sequence[RunRecord]) -> list[str]:
    """Draw and save the figures of some records of one experiment; return their names."""
    drawn: dict[str, Drawing] = {}
    for record in records:
        drawn |= {drawing.name: drawing for drawing in FIGURES[experiment](record)}
    for drawing in drawn.values():
        save_figure(drawing, figures)
    return list(drawn)


def projection_figure(record: RunRecord) -> Iterator[Drawing]:
    """Draw the six panels of the plane."""
    density: Any = record.facts.get("density")
    if not density:
        return
    nearest: Any = record.facts.get("nearest_class", {})
    points = sum(map(sum, density["counts"].values()))
    caption = f"UMAP of the training features, n = {points:,}\n{caption_of(record, seeded=True)}"
    yield Drawing(
        name=f"projection-{way_of(record)}-seed{record.settings.seed}",
        figure=draw_projection(density, nearest, caption),
        title=caption.replace("\n", ": "),
        description="Density of each class in the plane. Nearest class: "
        + ", ".join(f"{name} to {other}" for name, other in nearest.items()),
    )


def confusion_figures(record: RunRecord) -> Iterator[Drawing]:
    """Draw the final confusion matrix of each classifier; on validation beside the published one."""
    for name in _final_scores(record):
        scores = record.scores[name]
        labels = list(LABELS) if len(scores.confusion) == len(LABELS) else list(map(str, range(len(scores.confusion))))
        published = published_matrix(record.experiment) if name.endswith("validation") else None
        caption = f"{record.experiment} ({name}): {caption_of(record, seeded=bool(record.epochs))}"
        base = f"confusion-{way_of(record)}-{name.replace('/', '-')}"
        hits = ", ".join(
            f"{label} {row[i] / max(sum(row), 1):.2f}"
            for i, (label, row) in enumerate(zip(labels, scores.confusion, strict=True))
        )
        yield Drawing(
            name=base + (f"-seed{record.settings.seed}" if record.epochs else ""),
            figure=draw_confusion(scores, labels, caption, published if len(labels) == len(LABELS) else None),
            title=f"{caption}, n = {scores.n:,}, accuracy {scores.accuracy:.4f}",
            description=f"Row-normalised confusion matrix. Recall of each class: {hits}.",
        )


FIGURES: Mapping[str, Draw] = {
    "corpus-facts": corpus_figures,
    "projection": projection_figure,
    "linear": confusion_figures,
    "finetune": confusion_figures,
    "inference": probability_figures,
}


def _final_scores(record: RunRecord) -> list[str]:
    """Name the scores worth a picture: the last epoch and the test split, or the published classifier."""
    if record.epochs:
        last = f"epoch-{record.epochs[-1].epoch}/validation"
        return [name for name in (last, "test") if name in record.scores]
    return [name for name in record.scores if not name.startswith(("dummy", "converged", "stopped"))]
