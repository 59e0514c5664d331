"""`repro predict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.commands.options import write_table
from repro.errors import UsageError

if TYPE_CHECKING:
    from repro.sections.inference import Prediction

BAR = 40  # characters for a probability of 1


def predict(
    texts: Annotated[list[str], typer.Argument(help="One or more texts, each between quotation marks.")],
    model: Annotated[Path | None, typer.Option("--model", help="A folder that `run finetune --save` wrote.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Also draw the bars of the first text, as NAME.svg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Give the probability of every class for each text, from a fine-tuned model."""
    if model is None:
        raise UsageError(
            "no model is named", "Train one with `repro run finetune --save DIR`, then give --model DIR/NAME."
        )
    if figure and figure.suffix not in ("", ".svg"):
        raise UsageError(f"--figure {figure}: figures are saved as SVG", "Name it NAME.svg.")
    from repro.sections.inference import load_finetuned, predict

    loaded = load_finetuned(model)
    predictions = predict(loaded, texts)
    if as_json:
        rows = [{"text": p.text, "label": p.label, "probabilities": p.probabilities, "cut": p.cut} for p in predictions]
        sys.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    else:
        for prediction in predictions:
            _write_bars(prediction)
    if loaded.note:
        sys.stderr.write(f"note: {loaded.note}\n")
    if figure:
        _draw(predictions[0], figure, model.resolve().name)


def _write_bars(prediction: Prediction) -> None:
    shown = prediction.text if len(prediction.text) <= 80 else prediction.text[:79] + "…"  # noqa: PLR2004 (a line)
    sys.stdout.write(f"\n“{shown}”: {prediction.label}\n")
    if prediction.cut:
        sys.stdout.write("  the text is longer than the model reads: its end was cut off\n")
    write_table(
        ("class", "probability", ""),
        [(label, f"{100 * p:.2f} %", "█" * round(BAR * p)) for label, p in prediction.probabilities.items()],
    )


def _draw(prediction: Prediction, figure: Path, model: str) -> None:
    from repro.display.figure import save_figure
    from repro.sections.inference import probability_drawing

    drawing = probability_drawing(prediction.probabilities, prediction.text, f"n = 1 text, {model}", figure.stem)
    sys.stdout.write(f"{save_figure(drawing, figure.parent)}\n")
