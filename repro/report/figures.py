"""Figures from records: confusion matrices, as SVG and PNG that are the same bytes for the same record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from repro.records.record import LABELS, RunRecord, Scores

mpl.rcParams["svg.hashsalt"] = "repro"  # else every save draws new ids
mpl.rcParams["svg.fonttype"] = "none"


def confusion_figures(records: Sequence[RunRecord], figures: Path) -> list[Path]:
    """Draw the final confusion matrix of each classifier, newest record a cohort and seed; return the PNGs."""
    wanted: dict[str, tuple[RunRecord, str]] = {}
    for record in records:  # oldest first
        for name in _final_scores(record):
            way = f"{record.settings.precision}-{record.settings.batching}"
            if record.settings.protocol != "seeded":
                way += f"-{record.settings.protocol}"
            if record.settings.limit:
                way += f"-first-{record.settings.limit}"
            base = f"confusion-{record.corpus.name}-{record.recipe.name}-{way}-{name.replace('/', '-')}"
            wanted[base + (f"-seed{record.settings.seed}" if record.epochs else "")] = (record, name)
    drawn = []
    for base, (record, name) in wanted.items():
        figure = draw_confusion(
            record.scores[name], _labels(record), f"{record.experiment} ({name}): {_caption(record)}"
        )
        figures.mkdir(parents=True, exist_ok=True)
        figure.savefig(figures / f"{base}.svg", metadata={"Date": None})
        figure.savefig(figures / f"{base}.png", dpi=120, metadata={"Software": None})
        drawn.append(figures / f"{base}.png")
    return drawn


def draw_confusion(scores: Scores, labels: Sequence[str], caption: str) -> Figure:
    """Draw a row-normalised confusion matrix, true class a row, with its counts below the rates."""
    figure = Figure(figsize=(6.4, 6.4), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    totals = [max(sum(row), 1) for row in scores.confusion]
    rates = [[count / total for count in row] for row, total in zip(scores.confusion, totals, strict=True)]
    axes.imshow(rates, cmap="cividis", vmin=0, vmax=1)  # one lightness ramp, the same for every kind of sight
    for i, row in enumerate(rates):
        for j, rate in enumerate(row):
            shade = "black" if rate > 0.5 else "white"  # noqa: PLR2004 (the middle of the ramp)
            axes.text(
                j,
                i,
                f"{rate:.2f}\n{scores.confusion[i][j]}",
                ha="center",
                va="center",
                color=shade,
                fontsize=9,
            )
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(
        f"{caption}\nn = {scores.n:,}, accuracy {scores.accuracy:.4f}, weighted F1 {scores.weighted_f1:.4f}",
        fontsize=10,
    )
    return figure


def _final_scores(record: RunRecord) -> list[str]:
    """Name the scores worth a picture: the last epoch and the test split, or every classifier but the dummy."""
    if record.epochs:
        last = f"epoch-{record.epochs[-1].epoch}/validation"
        return [name for name in (last, "test") if name in record.scores]
    return [name for name in record.scores if not name.startswith("dummy")]


def _labels(record: RunRecord) -> list[str]:
    rates = next(iter(record.scores.values())).confusion
    return list(LABELS) if len(rates) == len(LABELS) else [str(i) for i in range(len(rates))]


def _caption(record: RunRecord) -> str:
    settings = record.settings
    seed = f", seed {settings.seed}" if record.epochs else ""
    limited = f", first {settings.limit} rows" if settings.limit else ""
    drawn = "" if settings.protocol == "seeded" else f", {settings.protocol}"
    way = f"{settings.precision}, {settings.batching}{drawn}"
    return f"{record.recipe.name} on {record.corpus.name}{limited}{seed}, {way}"
