"""The seminar's bar plot of class probabilities: each bar under the label that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import shorten, wrap
from typing import Any

from repro.display.figure import BARS, Drawing, caption_of, new_figure, way_of
from repro.records.record import LABELS, RunRecord

LONGEST_TITLE = 160  # characters of a text


def probability_figures(record: RunRecord) -> Iterator[Drawing]:
    """Draw the probabilities that a record of `inference` holds."""
    probabilities: Any = record.facts.get("probabilities")
    if probabilities:
        caption = f"n = 1 text, {caption_of(record, seeded=True)}"
        name = f"probabilities-{way_of(record)}-seed{record.settings.seed}"
        yield probability_drawing(probabilities, str(record.facts.get("text", "")), caption, name)


def probability_drawing(probabilities: Mapping[str, float], text: str, caption: str, name: str) -> Drawing:
    """Draw one bar a label, in the order of the model's outputs, the text as title; any text shows as it is."""
    figure = new_figure(max(6.4, 0.9 * len(probabilities)), 4.2)
    axes = figure.add_subplot()
    places = range(len(probabilities))
    bars = axes.bar(places, [100 * p for p in probabilities.values()], color=BARS)
    axes.bar_label(bars, [f"{100 * p:.1f}" for p in probabilities.values()], padding=2, fontsize=9)
    axes.set_xticks(places, list(probabilities), parse_math=False)
    if len(probabilities) > len(LABELS):
        axes.tick_params(axis="x", labelrotation=30)
    axes.set_ylim(0, 108)
    axes.set_ylabel("class probability (%)")
    axes.spines[["top", "right"]].set_visible(False)
    shown = f"“{shorten(text, LONGEST_TITLE, placeholder='…')}”"
    quoted = "\n".join(wrap(shown, 70))
    axes.set_title(f"{quoted}\n{caption}", fontsize=10, parse_math=False)
    said = ", ".join(f"{label} {100 * p:.1f} %" for label, p in probabilities.items())
    return Drawing(
        name=name, figure=figure, title=f"{shorten(text, LONGEST_TITLE, placeholder='…')}: {caption}", description=said
    )
