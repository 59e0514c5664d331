"""What the fine-tuning's log shows, epoch by epoch, over the public reruns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Kind
from repro.claims.judge import Verdict
from repro.claims.wording import plural
from repro.display.figure import BARS, INK, SECOND, Drawing, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"train_loss": "training loss", "weighted_f1": "weighted F1"}


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
