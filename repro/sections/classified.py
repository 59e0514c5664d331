"""What sections that classify share: scores, and the confusion matrix drawn beside the published one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from repro.claims.catalogue import load_catalogue
from repro.display.figure import Drawing, caption_of, matrix, new_figure
from repro.records.schema import LABELS, RowResults, RunRecord, Scores

if TYPE_CHECKING:
    from pydantic import JsonValue

    from repro.claims.claim import Claim
    from repro.training.predict import RowOutputs

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


def published_matrix(section: str) -> Claim | None:
    """Return the claim that reports a section's validation matrix: its rates, and the tolerance of a cell."""
    claims = (claim for claim in load_catalogue().claim if claim.measure == f"{section}:facts.confusion_rates")
    return next((claim for claim in claims if isinstance(claim.tolerance, float)), None)


def figures(record: RunRecord) -> Iterator[Drawing]:
    """Draw a classifier's row-normalised confusion matrices, of the last epoch; the published one beside validation."""
    from matplotlib.patches import Rectangle

    spec, seeded = record.spec, bool(record.epochs)
    epochs = [name for name in record.scores if re.fullmatch(r"epoch-[0-9]{1,4}/validation", name)]
    for name in [*epochs[-1:], *(name for name in record.scores if name in {"logistic/validation", "test"})]:
        scores = record.scores[name]
        rates = [[count / max(sum(row), 1) for count in row] for row in scores.confusion]
        labels = LABELS[: len(rates)]
        comparable = name.endswith("validation") and len(rates) == len(LABELS)
        claim = published_matrix(record.experiment) if comparable else None
        caption = f"{record.experiment} ({name}): {caption_of(spec, seeded=seeded)}"
        figure = new_figure(11.0 if claim else 6.4, 6.2 if claim else 6.4)
        *others, panel = figure.subplots(1, 2 if claim else 1, squeeze=False)[0]
        counts = [
            [f"{rate:.2f}\n{scores.confusion[i][j]}" for j, rate in enumerate(row)] for i, row in enumerate(rates)
        ]
        matrix(panel, rates, labels, counts)
        measured = f"n = {scores.n:,}, accuracy {scores.accuracy:.4f}, weighted F1 {scores.weighted_f1:.4f}"
        panel.set_title(f"measured, {measured}" if claim else f"{caption}\n{measured}", fontsize=10)
        if claim:
            reported: Any = claim.reported
            tolerance: Any = claim.tolerance
            matrix(others[0], reported, labels, [[f"{rate:.2f}" for rate in row] for row in reported])
            others[0].set_title(f"reported (distilbert, {claim.source}), n = 2,000", fontsize=10)
            away = np.abs(np.subtract(rates, reported)) > tolerance
            for i, j in np.argwhere(away):
                panel.add_patch(Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor=OUTLINE, lw=2))
            note = f"outlined: further than ±{tolerance:g} from the reported rate ({away.sum()} of 36 cells)"
            figure.supxlabel(note, fontsize=9)
            figure.suptitle(caption, fontsize=11)
        recalls = ", ".join(f"{label} {rates[i][i]:.2f}" for i, label in enumerate(labels))
        yield Drawing(
            name=f"confusion-{spec.slug}-{name.replace('/', '-')}" + (f"-seed{spec.seed}" if seeded else ""),
            figure=figure,
            title=f"{caption}, n = {scores.n:,}, accuracy {scores.accuracy:.4f}",
            description=f"Row-normalised confusion matrix. Recall of each class: {recalls}.",
        )
